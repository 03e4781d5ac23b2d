package skypilot

import (
	"context"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/bridge"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/client"
)

// askedAddresses are the addresses for which clouds were asked, by the name of the machine. SkyPilot keeps those of its
// own last launch or start.
type askedAddresses struct {
	mu  sync.Mutex
	all map[string]askedAddress
}

type askedAddress struct {
	at time.Time
	// id is the machine's, and recorded what SkyPilot has recorded of it. The answer is outdated once they differ.
	id       string
	recorded machineAddresses
	now      machineAddresses // empty if the cloud did not answer
}

type machineAddresses struct{ public, private string }

func recordedAddresses(l bridge.Location) machineAddresses {
	return machineAddresses{l.Address, l.PrivateAddress}
}

func (a askedAddress) isAbout(l bridge.Location) bool {
	return a.id == l.ID && a.recorded == recordedAddresses(l)
}

// findDue returns which of the records their cloud is to be asked about: running machines that can be stopped, and
// whose addresses SkyPilot does not know, or which were asked for long ago. A remote server's state is out of reach.
func (a *askedAddresses) findDue(records []clusterRecord, locations []bridge.Location, every time.Duration,
	now time.Time) []int {
	a.mu.Lock()
	defer a.mu.Unlock()
	var due []int
	for i, r := range records {
		l := locations[i]
		if r.Status != client.ClusterUp || r.unasked || !l.Startable || l.ID == "" {
			delete(a.all, r.Name) // once it runs, it may have other ones
			continue
		}
		last := a.all[r.Name]
		if !last.isAbout(l) || now.Sub(last.at) >= every || l.Address == "" && last.now.public == "" {
			due = append(due, i)
		}
	}
	return due
}

func (a *askedAddresses) remember(name string, l bridge.Location, found bridge.Addresses, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all == nil {
		a.all = map[string]askedAddress{}
	}
	asked := askedAddress{at: now, id: l.ID, recorded: recordedAddresses(l),
		now: machineAddresses{found.Address, found.PrivateAddress}}
	if last := a.all[name]; found.Address == "" && last.isAbout(l) {
		asked.now = last.now
	}
	a.all[name] = asked
}

// apply replaces recorded addresses by those that the clouds have given.
func (a *askedAddresses) apply(records []clusterRecord, locations []bridge.Location) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, r := range records {
		l := &locations[i]
		if asked := a.all[r.Name]; asked.isAbout(*l) && asked.now.public != "" {
			l.Address, l.PrivateAddress = asked.now.public, asked.now.private
		}
	}
}

// updateAddresses replaces the addresses that SkyPilot has recorded of machines by those that they have now. Where the
// cloud does not say, the recorded ones stay.
func (c *Cloud) updateAddresses(ctx context.Context, records []clusterRecord, locations []bridge.Location) {
	if c.server == nil {
		return
	}
	if due := c.asked.findDue(records, locations, c.opts.AddressesEvery, time.Now()); len(due) > 0 {
		handles := make([]string, len(due))
		for k, i := range due {
			handles[k] = records[i].Handle
		}
		found, err := c.bridge.AskAddresses(ctx, c.opts.CloudWithin, handles)
		if err != nil {
			c.log.Info("the addresses of machines are those of their launch", "error", err)
			found = make([]bridge.Addresses, len(due))
		}
		for k, i := range due {
			if found[k].Error != "" {
				c.log.Info("the address of a machine is that of its launch", "machine", records[i].Name, "error",
					found[k].Error)
			}
			c.asked.remember(records[i].Name, locations[i], found[k], time.Now())
		}
	}
	c.asked.apply(records, locations)
}
