// Package homewatch knows whether the state that a worker uses is its installation's only and newest one (its home). If
// that is in doubt, no machine is changed: it may belong to the original of a copy, or to a newer state.
package homewatch

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/home"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/store"
)

// Watch knows whether the state that a worker uses is its installation's only and newest one. A nil Watch has no
// doubts.
type Watch struct {
	Store *store.Store
	Pool  *remote.Pool
	// Here is where the state is; zero for a team's etcd.
	Here   home.Location
	Ledger home.Ledger
	// Restored says from which backup the state was restored; nil if it was not.
	Restored *home.Restoration
	Now      func() time.Time
	Log      *slog.Logger

	mu sync.Mutex
	// readAt is when etcd and the ledger were last read, and doubt the doubt at that time.
	readAt time.Time
	doubt  *api.HomeDoubt
	// answeredAt is when a machine of a cluster last answered, by the cluster's UID.
	answeredAt map[string]time.Time
}

const (
	// homeReadInterval is how long the state of etcd and the ledger is cached, homeMarkInterval how long the answer of
	// a cluster's machines is.
	homeReadInterval = 5 * time.Second
	homeMarkInterval = 10 * time.Minute
	// homeWaitInterval is the pause between checks while an activity waits for the end of a doubt.
	homeWaitInterval = 2 * time.Second
	// markTimeout bounds the exchange of marks with a cluster's machines: repairs of machines that don't answer wait
	// for it, and have to start within sweepClusterTimeout of package observe. marksAtOnce bounds the clusters that are
	// asked at the same time, machinesTried the machines of each, and clustersTried the clusters that are asked before
	// an orphan is terminated.
	markTimeout   = 8 * time.Second
	marksAtOnce   = 16
	machinesTried = 3
	clustersTried = 16
)

// DoubtError says that a machine is not changed because it may belong to another state of the installation.
type DoubtError struct{ doubt *api.HomeDoubt }

func (e *DoubtError) Error() string {
	return fmt.Sprintf("this state directory may not be the installation's home (%s): %s",
		e.doubt.JoinMessages(), api.HomeHint)
}

// Reason is reasonHomeInDoubt.
func (e *DoubtError) Reason() string { return reasonHomeInDoubt }

// Final is true: only an adoption ends the doubt.
func (e *DoubtError) Final() bool { return true }

// reasonHomeInDoubt is the reason of a DoubtError, and of the event about it.
const reasonHomeInDoubt = "HomeInDoubt"

// RecordStart counts a start of skyd, first in etcd and then in the ledger, unless the home is in doubt.
func (w *Watch) RecordStart(ctx context.Context) error {
	installation, err := w.Store.EnsureInstallationID(ctx)
	if err != nil {
		return err
	}
	ledger := w.readLedger(installation)
	h, err := w.Store.UpdateHome(ctx, func(h *api.Home) error {
		h.Installation = installation
		found := append(home.CompareRecords(*h, w.Here, ledger), lastingFindings(h.Doubt)...)
		if f := home.CompareRestoration(*h, w.Restored); f != nil {
			found, h.Restored = append(found, *f), w.Restored.ID
		}
		if w.setDoubt(h, found); h.Doubt == nil {
			w.setStartNumber(h, h.Starts+1)
		}
		return nil
	})
	if err != nil {
		return err
	}
	w.cacheDoubt(h.Doubt)
	if h.Doubt != nil {
		w.reportDoubt(ctx, h.Doubt)
		return nil
	}
	w.writeLedger(h)
	return nil
}

func (w *Watch) setStartNumber(h *api.Home, number int64) {
	w.Here.RecordIn(h)
	h.Starts, h.Start, h.StartedAt = number, rand.Text()[:12], w.Now()
}

// setDoubt records the findings as the doubt, and keeps its start time.
func (w *Watch) setDoubt(h *api.Home, found []api.HomeFinding) {
	if len(found) == 0 {
		h.Doubt = nil
		return
	}
	doubt := &api.HomeDoubt{Since: w.Now(), Findings: found}
	if h.Doubt != nil {
		doubt.Since = h.Doubt.Since
	}
	h.Doubt = doubt
}

// lastingFindings returns the findings that stay until the state is adopted: their machines are not asked again, and a
// restore is noticed once.
func lastingFindings(d *api.HomeDoubt) []api.HomeFinding {
	return slices.DeleteFunc(doubtFindings(d),
		func(f api.HomeFinding) bool { return f.Kind != api.HomeSeenOnMachine && f.Kind != api.HomeRestored })
}

// readLedger reads this computer's record of starts. If it is unreadable there is nothing to compare with, and the
// worker goes on.
func (w *Watch) readLedger(installation string) *api.Home {
	ledger, err := w.Ledger.ReadHome(installation)
	if err != nil {
		w.Log.Warn("the record of this installation's starts can't be read; a copy of the state directory may go "+
			"unnoticed", "error", err)
	}
	return ledger
}

func (w *Watch) writeLedger(h api.Home) {
	if err := w.Ledger.WriteHome(h); err != nil {
		w.Log.Warn("the record of this installation's starts can't be written; a copy of the state directory may go "+
			"unnoticed", "error", err)
	}
}

func (w *Watch) cacheDoubt(doubt *api.HomeDoubt) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.readAt, w.doubt = w.Now(), doubt
}

func (w *Watch) reportDoubt(ctx context.Context, doubt *api.HomeDoubt) {
	w.Log.Warn("no machine is changed: "+(&DoubtError{doubt}).Error(), "since", doubt.Since)
	e := api.Event{Type: api.EventWarning, Reason: reasonHomeInDoubt, Message: doubt.JoinMessages() +
		"; no machine is changed: " + api.HomeHint}
	e.First, e.Last = w.Now(), w.Now()
	activities.RecordEvent(ctx, w.Store, e)
}

// RecentDoubt returns the doubt as of a few seconds ago at most, from etcd and this computer's ledger; nil if there is
// none.
func (w *Watch) RecentDoubt(ctx context.Context) (*api.HomeDoubt, error) {
	if w == nil {
		return nil, nil
	}
	w.mu.Lock()
	cached, fresh := w.doubt, !w.readAt.IsZero() && w.Now().Sub(w.readAt) < homeReadInterval
	w.mu.Unlock()
	if fresh {
		return cached, nil
	}
	return w.ReadDoubt(ctx)
}

// ReadDoubt reads the current doubt from etcd and this computer's ledger. Use it before an act that can't be undone.
func (w *Watch) ReadDoubt(ctx context.Context) (*api.HomeDoubt, error) {
	if w == nil {
		return nil, nil
	}
	h, err := w.Store.ReadHome(ctx)
	if err != nil {
		return nil, err
	}
	if found := home.CompareRecords(h, w.Here, w.readLedger(h.Installation)); h.Doubt == nil && len(found) > 0 {
		if h, err = w.recordDoubt(ctx, h, found...); err != nil {
			return nil, err
		}
	}
	w.cacheDoubt(h.Doubt)
	return h.Doubt, nil
}

// recordDoubt records findings about the state that was read. If another process has started since, it does nothing:
// that process has made the same checks.
func (w *Watch) recordDoubt(ctx context.Context, about api.Home, found ...api.HomeFinding) (api.Home, error) {
	raised := false
	h, err := w.Store.UpdateHome(ctx, func(h *api.Home) error {
		if raised = h.Starts == about.Starts && h.Start == about.Start; raised {
			fresh := slices.DeleteFunc(found,
				func(f api.HomeFinding) bool { return slices.Contains(doubtFindings(h.Doubt), f) })
			w.setDoubt(h, append(doubtFindings(h.Doubt), fresh...))
		}
		return nil
	})
	if err == nil && raised {
		w.reportDoubt(ctx, h.Doubt)
	}
	return h, err
}

func doubtFindings(d *api.HomeDoubt) []api.HomeFinding {
	if d == nil {
		return nil
	}
	return slices.Clone(d.Findings)
}

// Confirm asks a machine of each of the clusters, before an act that can't be undone, unless one has answered recently.
// Without clusters it asks some of all. The error is a DoubtError if the home is in doubt.
func (w *Watch) Confirm(ctx context.Context, clusters ...api.Cluster) error {
	if w == nil {
		return nil
	}
	doubt, err := w.ReadDoubt(ctx)
	if err != nil {
		return err
	}
	if doubt != nil {
		return &DoubtError{doubt}
	}
	if len(clusters) == 0 {
		if clusters, err = w.listReadyClusters(ctx); err != nil {
			return err
		}
		slices.SortFunc(clusters, func(a, b api.Cluster) int {
			return b.Metadata.CreatedAt.Compare(a.Metadata.CreatedAt)
		})
		clusters = clusters[:min(clustersTried, len(clusters))]
	}
	return w.confirmByMarks(ctx, clusters)
}

// AwaitNoDoubt waits until there is no doubt: operations that a copy contains resume once it is adopted.
func (w *Watch) AwaitNoDoubt(ctx context.Context, say func(string)) error {
	for said := false; ; said = true {
		doubt, err := w.RecentDoubt(ctx)
		if err != nil || doubt == nil {
			return err
		}
		if !said {
			say("waiting: " + (&DoubtError{doubt}).Error())
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(homeWaitInterval):
		}
	}
}
