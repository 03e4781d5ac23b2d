package record

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/store"
)

// RepairEntry says that a repair starts, or how it ended.
type RepairEntry struct {
	Cluster api.Ref    `json:"cluster"`
	ID      string     `json:"id"`
	Action  api.Action `json:"action"`
	// Error is why it failed; "" if it succeeded.
	Error string `json:"error,omitempty"`
	// Failure is the full failure, if a repair of the GPU stack failed.
	Failure *api.Failure `json:"failure,omitempty"`
	// Stopped: it ended early, because it was stopped. That is no failure.
	Stopped bool `json:"stopped,omitempty"`
}

// BeginRepair records that a repair starts. It counts as tried from then on, whatever the result.
func (a *Activities) BeginRepair(ctx context.Context, in RepairEntry) error {
	c, err := a.Store.UpdateCluster(ctx, in.Cluster, func(c *api.Cluster) error {
		c.Status.BeginRepair(api.Repair{ID: in.ID, Action: in.Action, At: a.Now()})
		return nil
	})
	if err == nil {
		a.recordEventNow(ctx, activities.NewEvent(c, in.Action.Machine, api.EventNormal, string(in.Action.Kind),
			"started: "+in.Action.Message))
	}
	return activities.StepError(ctx, "record the repair", in.Action.Machine, err)
}

// EndRepair records how a repair ended.
func (a *Activities) EndRepair(ctx context.Context, in RepairEntry) error {
	c, err := a.Store.UpdateCluster(ctx, in.Cluster, func(c *api.Cluster) error {
		a.endRepair(c, in)
		return nil
	})
	if err != nil {
		return activities.StepError(ctx, "record the repair", in.Action.Machine, err)
	}
	a.recordEventNow(ctx, newActionEndEvent(c, in))
	return nil
}

func (a *Activities) endRepair(c *api.Cluster, e RepairEntry) {
	c.Status.EndRepair(e.ID, redact.Text(e.Error), a.Now())
	if was := c.Status.Failure; e.Failure != nil && c.Status.Phase == api.PhaseError && was != nil &&
		was.Step == api.StepGPU {
		now := *e.Failure // this is now what keeps the cluster in ERROR
		now.Step, now.At = api.StepGPU, a.Now()
		c.Status.Failure = &now
	}
}

// maxActionEvents bounds the events of one kind of action in one write. More are counted in one event.
const maxActionEvents = 10

// BeginActions records that actions start, as BeginRepair does for one.
func (a *Activities) BeginActions(ctx context.Context, entries []RepairEntry) error {
	repairs := make([]api.Repair, len(entries))
	for i, e := range entries {
		repairs[i] = api.Repair{ID: e.ID, Action: e.Action, At: a.Now()}
	}
	c, err := a.Store.UpdateCluster(ctx, entries[0].Cluster, func(c *api.Cluster) error {
		c.Status.BeginRepairs(repairs)
		return nil
	})
	if err != nil {
		return activities.StepError(ctx, "record the actions", "", err)
	}
	a.recordActionEvents(ctx, entries, func(e RepairEntry) api.Event {
		return activities.NewEvent(c, e.Action.Machine, api.EventNormal, string(e.Action.Kind),
			"started: "+e.Action.Message)
	})
	return nil
}

// EndActions records how actions ended, as EndRepair does for one.
func (a *Activities) EndActions(ctx context.Context, entries []RepairEntry) error {
	c, err := a.Store.UpdateCluster(ctx, entries[0].Cluster, func(c *api.Cluster) error {
		for _, e := range entries {
			if e.Stopped {
				e.Error = ""
			}
			a.endRepair(c, e)
		}
		return nil
	})
	if err != nil {
		return activities.StepError(ctx, "record the results", "", err)
	}
	a.recordActionEvents(ctx, entries, func(e RepairEntry) api.Event { return newActionEndEvent(c, e) })
	return nil
}

// recordActionEvents records an event for each action, or one for many of a kind.
func (a *Activities) recordActionEvents(ctx context.Context, entries []RepairEntry,
	toEvent func(RepairEntry) api.Event) {
	count := map[string]int{} // by reason
	last := map[string]api.Event{}
	for _, e := range entries {
		event := toEvent(e)
		if count[event.Reason]++; count[event.Reason] <= maxActionEvents {
			a.recordEventNow(ctx, event)
			continue
		}
		event.Machine = ""
		event.Message = fmt.Sprintf("and %d more", count[event.Reason]-maxActionEvents)
		last[event.Reason] = event
	}
	for _, reason := range slices.Sorted(maps.Keys(last)) {
		a.recordEventNow(ctx, last[reason])
	}
}

func newActionEndEvent(c *api.Cluster, e RepairEntry) api.Event {
	kind := string(e.Action.Kind)
	switch {
	case e.Stopped:
		return activities.NewEvent(c, e.Action.Machine, api.EventNormal, kind, "stopped: "+e.Action.Message)
	case e.Error != "":
		return activities.NewEvent(c, e.Action.Machine, api.EventWarning, kind+"Failed", e.Error)
	}
	return activities.NewEvent(c, e.Action.Machine, api.EventNormal, kind, "done: "+e.Action.Message)
}

// MarkRepaired marks a repaired cluster that was in ERROR as READY.
func (a *Activities) MarkRepaired(ctx context.Context, ref api.Ref) error {
	_, err := a.Store.UpdateCluster(ctx, ref, func(c *api.Cluster) error {
		if c.Status.CanBeRepaired() {
			c.Status.Failure = nil
			c.Status.SetPhase(api.PhaseReady, "Repaired", a.Now())
		}
		return nil
	})
	return activities.StepError(ctx, "mark the cluster READY", "", err)
}

// ReplaceMachine reserves a new incarnation for the index of a machine that is gone, and returns it. It returns the
// same if it runs twice.
func (a *Activities) ReplaceMachine(ctx context.Context, old activities.MachineRef) (activities.MachineRef, error) {
	const step = "reserve a machine"
	c, err := a.Store.ReadClusterObject(ctx, old.Cluster)
	if err != nil {
		return activities.MachineRef{}, activities.StepError(ctx, step, old.Name, err)
	}
	incarnation, err := api.NewIncarnation(rand.Reader)
	if err != nil {
		return activities.MachineRef{}, activities.StepError(ctx, step, old.Name, err)
	}
	m, err := a.Store.ReplaceMachine(ctx, old.Cluster, old.Index, old.Incarnation, func(m api.Machine) api.Machine {
		// A pool may have another placement than the control plane.
		fresh := api.NewMachine(c.Metadata.Name, old.Index, "", incarnation, m.Placement, a.Now())
		fresh.SucceedMachine(m, a.Now())
		spec := c.Spec.SpecOfSuccessor(m)
		c.SetWanted(&fresh, &spec)
		return fresh
	})
	if occupied := new(store.OccupiedError); errors.As(err, &occupied) {
		err = &cloud.Error{Kind: cloud.Conflict, Message: "the previous machine may still exist"}
	}
	if err == nil {
		err = a.ensureClusterKeys(ctx, old.Cluster, []api.Machine{*m})
	}
	if err != nil {
		return activities.MachineRef{}, activities.StepError(ctx, step, old.Name, err)
	}
	return activities.MachineRefOf(old.Cluster, *m), nil
}
