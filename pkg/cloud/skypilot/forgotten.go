package skypilot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

// A SkyPilot server whose databases were lost knows of no cluster, has access to no cloud until it has looked for it, and says
// neither: it lists nothing, as one does that never launched anything. What follows tells the two apart.

// silentCloud is a cloud of which nobody can say what it has, and why.
type silentCloud struct {
	name string
	why  error
}

// openClouds has the server look for access to the clouds that are known and that it has none to. It returns those to which it
// finds none.
func (c *Cloud) openClouds(ctx context.Context, known cloud.Known) ([]silentCloud, error) {
	names := slices.Clone(known.Clouds)
	for _, m := range known.Machines {
		names = append(names, m.Cloud)
	}
	slices.Sort(names)
	names = slices.DeleteFunc(slices.Compact(names), func(name string) bool { return !slices.Contains(Names, name) })
	if len(names) == 0 {
		return nil, nil
	}
	enabled, err := c.Enabled(ctx)
	if err != nil {
		return nil, err
	}
	var closed []silentCloud
	for _, name := range names {
		if slices.Contains(enabled, name) {
			continue
		}
		if err := c.openCloud(ctx, name); err != nil {
			closed = append(closed, silentCloud{name, err})
		}
	}
	return closed, context.Cause(ctx)
}

// checkAgain is how long the result of a look for access to a cloud holds where there was none.
const checkAgain = 20 * time.Second

// closedClouds are those to which a look found no access lately.
type closedClouds struct {
	mu  sync.Mutex
	why map[string]closedCloud
}

type closedCloud struct {
	at  time.Time
	why error
}

func (c *closedClouds) last(name string) closedCloud {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.why[name]
}

func (c *closedClouds) note(name string, why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why == nil {
		c.why = map[string]closedCloud{}
	}
	c.why[name] = closedCloud{time.Now(), why}
}

// openCloud has the server look for access to one cloud, within the time that a cloud has for an answer. One look serves all who
// want it at that moment.
func (c *Cloud) openCloud(ctx context.Context, name string) error {
	done, err := c.names.acquire(ctx, "access to "+name)
	if err != nil {
		return err
	}
	defer done()
	if last := c.closed.last(name); time.Since(last.at) < checkAgain {
		return last.why
	}
	soon, cancel := context.WithTimeoutCause(ctx, c.opts.CloudWithin, silence(c.opts.CloudWithin))
	defer cancel()
	found, err := c.Check(soon, name)
	if err != nil {
		err = &cloud.Error{Kind: cloud.Transient, Cause: err, Message: "look for access to the cloud"}
	} else if why, looked := found[name]; !looked || why != "" {
		if !looked {
			why = "it does not say why"
		}
		err = &cloud.Error{Kind: cloud.Transient, Message: fmt.Sprintf(
			"the SkyPilot API server at %s has no access to it (%s), so nobody can say what is there; 'skyctl check' tells more",
			c.client.endpoint, c.advised(name, why))}
	}
	c.closed.note(name, err)
	return err
}

// findForgotten are the clouds of machines that SkyPilot has no record of, neither as there nor as gone. On AWS the cloud itself was
// asked for them by their labels, where the account is ours to ask.
func (c *Cloud) findForgotten(ctx context.Context, owner cloud.Owner, known []cloud.KnownMachine, listed []cloud.Machine) ([]silentCloud, error) {
	missing := slices.DeleteFunc(slices.Clone(known), func(m cloud.KnownMachine) bool {
		there := func(l cloud.Machine) bool {
			return l.Name == m.Name && (m.Incarnation == "" || l.Incarnation == m.Incarnation)
		}
		return m.Cloud == awsName && c.server != nil || !slices.Contains(Names, m.Cloud) || slices.ContainsFunc(listed, there)
	})
	if len(missing) == 0 {
		return nil, nil
	}
	past, err := c.history(ctx, owner, missing)
	if err != nil {
		return nil, err
	}
	var forgotten []silentCloud
	for _, m := range missing {
		if !slices.ContainsFunc(past, func(r pastCluster) bool { return r.was(m) }) {
			forgotten = append(forgotten, silentCloud{m.Cloud, c.noRecord(m)})
		}
	}
	return forgotten, nil
}

func (c *Cloud) noRecord(m cloud.KnownMachine) error {
	return &cloud.Error{Kind: cloud.Transient, Message: fmt.Sprintf(
		"the SkyPilot API server at %s has no record of machine %s, neither as there nor as gone: its databases were lost, or an "+
			"older copy of them was restored. Look for the machine in the cloud's own list (label %s) and end it there, then delete "+
			"the cluster with --purge", c.client.endpoint, m.Name, cloud.LabelInstallation)}
}

// pastCluster is a cluster that the server has, or once had, as its report of costs shows it.
type pastCluster struct {
	Name string `json:"name"`
	Yaml string `json:"last_creation_yaml"`
}

// was says whether it was the machine.
func (p pastCluster) was(m cloud.KnownMachine) bool {
	return p.Name == m.Name && (m.Incarnation == "" || taskLabels(p.Yaml)[cloud.LabelIncarnation] == m.Incarnation)
}

// pastDays is how far back the server is asked for clusters that are gone.
const pastDays = 3650

// history is what the server remembers of machines, those that are gone among them.
func (c *Cloud) history(ctx context.Context, owner cloud.Owner, machines []cloud.KnownMachine) ([]pastCluster, error) {
	body := costReportBody{common: common{Env: user(owner.Installation).env()}, Days: pastDays}
	for _, m := range machines {
		body.ClusterNames = append(body.ClusterNames, m.Name)
	}
	id, err := c.client.submit(ctx, "/cost_report", body)
	var past []pastCluster
	if err == nil {
		err = c.client.get(ctx, id, &past)
	}
	if failed := new(failedRequest); errors.As(err, &failed) {
		return nil, judged("ask SkyPilot for what it remembers of machines", failed, nil)
	}
	return past, err
}
