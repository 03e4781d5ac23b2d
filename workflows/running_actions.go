package workflows

import (
	"fmt"
	"slices"
	"strings"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/observe"
	"github.com/sky-shift/skyctl/activities/record"
	"github.com/sky-shift/skyctl/pkg/api"
)

// runningAction is an action of the planner that has started.
type runningAction struct {
	entry record.RepairEntry
	// stop asks the action to end early.
	stop func(workflow.Context)
	// ended is set when the action has ended, with its error.
	ended bool
	err   error
}

// startActions records that actions start, and starts them. An action that has to follow another one of the same round
// is left for the next round.
func (r *convergeRun) startActions(ctx workflow.Context, due []observe.RepairAction) error {
	actions := r.selectIndependent(due)
	if len(actions) == 0 {
		return nil
	}
	started := make([]*runningAction, len(actions))
	entries := make([]record.RepairEntry, len(actions))
	for i, a := range actions {
		r.started++
		entries[i] = record.RepairEntry{Cluster: r.cluster, Action: a.Action,
			ID: fmt.Sprintf("%s-%d", workflow.GetInfo(ctx).WorkflowExecution.RunID, r.started)}
		started[i] = &runningAction{entry: entries[i]}
	}
	if err := etcdWrite.runActivity(ctx, r.cluster.Name+": record the actions", clusterActivities.BeginActions,
		entries); err != nil {
		return err
	}
	r.running = append(r.running, started...)
	groups := map[string][]int{} // the positions of bring-ups by pool
	var pools []string
	for i, a := range actions {
		if a.Kind != api.ActionBringUp || a.On.Role == api.RoleHead {
			r.startAction(ctx, a, started[i])
			continue
		}
		if groups[a.Pool] == nil {
			pools = append(pools, a.Pool)
		}
		groups[a.Pool] = append(groups[a.Pool], i)
	}
	for _, pool := range pools {
		r.groups += int64(len(groups[pool])+maxGroupSize-1) / maxGroupSize
	}
	for _, pool := range pools {
		for positions := range slices.Chunk(groups[pool], maxGroupSize) {
			r.startGroup(ctx, pool, actions, started, positions)
		}
	}
	return nil
}

// maxRunning bounds the actions on machines that run at the same time. Temporal refuses inputs of more than 2 MiB, and
// all of them are in the input of one activity.
const maxRunning = observe.MaxActions

// selectIndependent returns the actions that can start now: one on each target, none on a target on which one runs, and
// none that needs another one to end first.
func (r *convergeRun) selectIndependent(due []observe.RepairAction) []observe.RepairAction {
	restoresKeys := slices.ContainsFunc(due, func(a observe.RepairAction) bool {
		return a.Kind == api.ActionRestoreKeys
	})
	taken := map[string]bool{}
	for _, a := range r.running {
		taken[targetOf(a.entry.Action)] = true
	}
	var selected []observe.RepairAction
	for _, a := range due {
		target := targetOf(a.Action)
		if taken[target] || a.Machine != "" && (restoresKeys || len(r.running)+len(selected) >= maxRunning) {
			continue
		}
		taken[target] = true
		selected = append(selected, a)
	}
	return selected
}

// targetOf names what an action changes: a machine or Node, a pool, or something of the cluster as a whole.
func targetOf(a api.Action) string {
	switch {
	case a.Machine != "":
		return a.Machine
	case a.Kind == api.ActionAddMachines:
		return "pool " + a.Pool
	}
	return string(a.Kind)
}

// startAction starts an action in a coroutine of its own. Those on machines wait for a slot. Nothing else waits behind
// those that drain, because a drain may take hours.
func (r *convergeRun) startAction(ctx workflow.Context, action observe.RepairAction, running *runningAction) {
	work, cancel := workflow.WithCancel(ctx)
	running.stop = func(workflow.Context) { cancel() }
	workflow.Go(work, func(ctx workflow.Context) {
		running.endWith(r.runInSlot(ctx, action))
	})
}

func (r *convergeRun) runInSlot(ctx workflow.Context, action observe.RepairAction) error {
	if action.Machine == "" {
		return r.runAction(ctx, action)
	}
	slots := r.slots
	if action.Kind == api.ActionRemove || action.Kind == api.ActionReplace {
		slots = r.drainSlots
	}
	if err := slots.Acquire(ctx, 1); err != nil {
		return err
	}
	defer slots.Release(1)
	return r.runAction(ctx, action)
}

func (a *runningAction) endWith(err error) {
	if !a.ended {
		a.ended, a.err = true, err
	}
}

// stopActions stops the running actions that the planner no longer wants.
func (r *convergeRun) stopActions(ctx workflow.Context, unwanted []api.Action) {
	for _, a := range r.running {
		isUnwanted := func(u api.Action) bool {
			return u.Kind == a.entry.Action.Kind && u.Index == a.entry.Action.Index &&
				u.Incarnation == a.entry.Action.Incarnation
		}
		if !a.ended && a.stop != nil && slices.ContainsFunc(unwanted, isUnwanted) {
			a.stop(ctx)
			a.stop = nil
		}
	}
}

func (r *convergeRun) hasEndedActions() bool {
	return slices.ContainsFunc(r.running, func(a *runningAction) bool { return a.ended })
}

func (r *convergeRun) haveAllEnded() bool {
	return !slices.ContainsFunc(r.running, func(a *runningAction) bool { return !a.ended })
}

// recordEndedActions records the results of actions that have ended, and forgets them. An action that fails is no error
// here: the planner paces its repetition by the record.
func (r *convergeRun) recordEndedActions(ctx workflow.Context) error {
	var entries []record.RepairEntry
	var gone error
	for _, a := range r.running {
		if !a.ended {
			continue
		}
		if errorReason(a.err) == activities.ReasonGone {
			gone = a.err
		}
		if a.err != nil {
			failure := failureOf(a.err)
			a.entry.Error = failure.Message
			if a.entry.Action.Kind == api.ActionGPU {
				a.entry.Failure = &failure
			}
			a.entry.Stopped = temporal.IsCanceledError(a.err)
		}
		entries = append(entries, a.entry)
	}
	if len(entries) == 0 {
		return nil
	}
	r.running = slices.DeleteFunc(r.running, func(a *runningAction) bool { return a.ended })
	if gone != nil {
		return gone
	}
	return etcdWrite.runActivity(ctx, r.cluster.Name+": record the results", clusterActivities.EndActions, entries)
}

// awaitActions waits until every action has ended, cancelled or not, and records the results: whoever goes on after
// this run must not change machines that an action still works on.
func (r *convergeRun) awaitActions(ctx workflow.Context) {
	clean, _ := workflow.NewDisconnectedContext(ctx)
	_ = workflow.Await(clean, r.haveAllEnded)
	if err := r.recordEndedActions(clean); err != nil {
		workflow.GetLogger(ctx).Warn("the results of the last actions were not recorded", "error", err)
	}
}

// maxActionsShown bounds the actions that the Web UI lists.
const maxActionsShown = 30

// describe returns what the run does, as a Markdown list for the Web UI.
func (r *convergeRun) describe(doing string) string {
	var lines []string
	if doing != "" {
		lines = append(lines, doing, "")
	}
	for i, a := range r.running {
		if i == maxActionsShown {
			lines = append(lines, fmt.Sprintf("- … and %d more", len(r.running)-maxActionsShown))
			break
		}
		target := a.entry.Action.Machine
		if target == "" {
			target = a.entry.Action.Pool
		}
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("- %s %s", a.entry.Action.Kind, target)))
	}
	return strings.Join(lines, "\n")
}
