package observe

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/plan"
	"github.com/sky-shift/skyctl/pkg/redact"
)

// AssessInput names the cluster to assess.
type AssessInput struct {
	Cluster api.Ref `json:"cluster"`
	// Asked is when a person requested the repair: earlier tries do not count. Zero if it was not requested.
	Asked time.Time `json:"asked,omitzero"`
	// InFlight are the actions that run now. They get no second one.
	InFlight []api.Action `json:"in_flight,omitempty"`
	// Operation is the workflow type that acts on the assessment. Older inputs lack it.
	Operation string `json:"operation,omitempty"`
}

// MaxActions is how many actions an assessment has at most: Temporal refuses results of more than 2 MiB. The next one
// has the others.
const MaxActions = 1000

// Assessment is what a cluster needs now.
type Assessment struct {
	Actions []RepairAction `json:"actions,omitempty"`
	// Fail is why the cluster goes to ERROR; nil if it does not.
	Fail *api.Failure `json:"fail,omitempty"`
	// Serves: the cluster works, even if something is left to wait for.
	Serves bool `json:"serves,omitempty"`
	// Placement is where its machines are.
	Placement api.Placement `json:"placement"`
	// Stop are the actions in flight that are no longer wanted.
	Stop []api.Action `json:"stop,omitempty"`
	// Reached: the generation of the spec is reached.
	Reached bool `json:"reached,omitempty"`
	// MayAct: the cluster is in a phase in which machines are changed, and nothing is paused.
	MayAct bool `json:"may_act,omitempty"`
	// Deleting: the cluster is to be deleted.
	Deleting bool `json:"deleting,omitempty"`
	// Next is the workflow type that has to run instead, such as Restore; empty if none has to.
	Next string `json:"next,omitempty"`
	// InError: the cluster is in ERROR. It is planned as READY if a person requested that.
	InError bool `json:"in_error,omitempty"`
	// NextAt is when something that waits becomes due; zero if nothing waits.
	NextAt time.Time `json:"next_at,omitzero"`
	// Doing says, for people, what is under way.
	Doing string `json:"doing,omitempty"`
}

// RepairAction is an action and its machine.
type RepairAction struct {
	api.Action
	On activities.MachineRef `json:"on"`
	// HasNode: the machine may run pods.
	HasNode bool `json:"has_node,omitempty"`
	// Orderly: the machine may work, and a person wants another one, so pods leave within the limits of the pool.
	// Otherwise the machine does not work.
	Orderly bool `json:"orderly,omitempty"`
	// Outdated: the pool of the machine has another machine spec than it, so that its successor needs another
	// placement.
	Outdated bool `json:"outdated,omitempty"`
	// Placement is that of the machine.
	Placement api.Placement `json:"placement,omitzero"`
	// DrainTimeout and DrainForce are those of the machine's pool.
	DrainTimeout api.Duration `json:"drain_timeout,omitempty"`
	DrainForce   bool         `json:"drain_force,omitempty"`
	// Leaving is why the machine is removed.
	Leaving api.LeaveReason `json:"leaving,omitempty"`
}

// Assess observes a cluster again, and decides what to do about it now.
func (a *Activities) Assess(ctx context.Context, in AssessInput) (Assessment, error) {
	const step = "observe the cluster"
	c, err := activities.ReadCluster(ctx, a.Store, in.Cluster)
	if err != nil {
		return Assessment{}, activities.StepError(ctx, step, "", err)
	}
	next := operation.RequestedOperation(c)
	if next != "" || c.Status.Phase != api.PhaseReady && c.Status.Phase != api.PhaseError {
		return Assessment{Deleting: c.Status.Phase == api.PhaseDeleting, Next: next}, nil // a repair can't help here
	}
	all, err := a.listProviders(ctx, []string{a.Clouds.ProviderName(c.CloudName())})
	if err != nil {
		return Assessment{}, activities.StepError(ctx, step, "", err)
	}
	// Read again after the listing: see listProviderShared.
	if c, err = activities.ReadCluster(ctx, a.Store, in.Cluster); err != nil {
		return Assessment{}, activities.StepError(ctx, step, "", err)
	}
	if err := plan.ValidateCluster(c); err != nil {
		a.reportInvalid(ctx, c, err)
		return Assessment{}, nil
	}
	assessed, err := a.assessCluster(ctx, c, all.forCluster(a.Clouds, c), in)
	if err != nil {
		return Assessment{}, activities.StepError(ctx, step, "", err)
	}
	decision, observation := assessed.decision, assessed.observation
	found := Assessment{Next: assessed.next, Fail: decision.Fail, Stop: decision.Stop, NextAt: decision.NextAt,
		Doing:   decision.Doing,
		Reached: decision.Converged || c.Status.ObservedGeneration == c.Metadata.Generation,
		InError: c.Status.Phase == api.PhaseError,
		MayAct:  c.Status.PausedAt.IsZero() && (c.Status.Phase == api.PhaseReady || isRepairRequested(c, in.Asked)),
		Serves: observation.CloudError == "" && observation.APIError == "" &&
			observation.GPU == "" && len(observation.Nodes) > 0}
	if c.Status.Placement != nil {
		found.Placement = *c.Status.Placement
	}
	for _, action := range decision.Actions[:min(len(decision.Actions), MaxActions)] {
		found.Actions = append(found.Actions, newRepairAction(c, observation, action))
	}
	return found, nil
}

// isRepairRequested says whether a person requested the repair of a cluster in ERROR that can be repaired.
func isRepairRequested(c *api.Cluster, asked time.Time) bool {
	return !asked.IsZero() && c.Status.CanBeRepaired()
}

// newRepairAction adds to an action of the planner what carrying it out needs.
func newRepairAction(c *api.Cluster, observation plan.Observation, action api.Action) RepairAction {
	a := RepairAction{Action: action, On: activities.MachineRef{Cluster: c.Ref(), Index: action.Index,
		Name: action.Machine, Incarnation: action.Incarnation}}
	for _, m := range c.Status.Machines {
		if action.Kind == api.ActionTerminate || m.Index != action.Index || m.Incarnation != action.Incarnation {
			continue // Terminate only gets the named machine, never the recorded one that is like it
		}
		a.On = activities.MachineRefOf(c.Ref(), m)
		_, registered := observation.Nodes[m.NodeName]
		a.HasNode = registered || m.State == api.MachineReady
		a.Orderly = m.ReplaceAsked || action.Reason == api.DriftMachineOutdated
		a.Outdated = action.Kind == api.ActionReplace && c.Spec.DescribeOutdated(m) != ""
		a.Placement = m.Placement
		a.DrainTimeout, a.Leaving = api.DefaultDrainTimeout, cmp.Or(m.Leaving, api.LeavePoolDeleted)
		if p := c.Spec.FindPool(m.PoolName()); p != nil {
			a.DrainTimeout, a.DrainForce = cmp.Or(p.DrainTimeout, api.DefaultDrainTimeout), p.DrainForce
			a.Leaving = cmp.Or(m.Leaving, api.LeaveScaledDown)
			if m.Leaving == "" && !m.WasBroughtUp() && c.Spec.DescribeOutdated(m) != "" {
				a.Leaving = api.LeaveOutdated
			}
		}
	}
	return a
}

// assessCluster observes a READY or failed cluster, decides what to do, and records both. If a person requested it
// (in.Asked is not zero), a cluster in ERROR that can be repaired is planned as READY, and earlier tries do not count.
func (a *Activities) assessCluster(ctx context.Context, c *api.Cluster, listed providerListing,
	in AssessInput) (assessedCluster, error) {
	if err := a.recordCloudIDs(ctx, c, listed.machines[c.Metadata.UID]); err != nil {
		return assessedCluster{}, err
	}
	planned := *c
	if !in.Asked.IsZero() {
		if isRepairRequested(c, in.Asked) {
			planned.Status.Phase = api.PhaseReady
		}
		mine := repairIDPrefix(ctx) // by id, because the clocks of worker and client may differ
		planned.Status.Repairs = slices.DeleteFunc(slices.Clone(c.Status.Repairs), func(r api.Repair) bool {
			// Only one operation runs on a cluster, so no other run can have added one since.
			return !strings.HasPrefix(r.ID, mine)
		})
	}
	observation, observed, err := a.observeCluster(ctx, &planned, listed)
	observation.InFlight = in.InFlight
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		// A state that was not observed in time is not drift.
		return assessedCluster{}, fmt.Errorf("observe cluster %s: %w", c.Metadata.Name, err)
	}
	decision := plan.Decide(&planned, observation, a.Policy)
	if err := a.withholdActions(ctx, c, &decision); err != nil {
		return assessedCluster{}, err
	}
	next, err := a.recordDecision(ctx, c, observed, decision, in.Operation)
	return assessedCluster{decision, observation, next}, err
}

// assessedCluster is what was observed of a cluster and decided about it.
type assessedCluster struct {
	decision    plan.Decision
	observation plan.Observation
	// next is the workflow type that its record asks for by now; empty if it asks for none.
	next string
}

// repairIDPrefix is the prefix of the ids of repairs that this activity's workflow has recorded.
func repairIDPrefix(ctx context.Context) string {
	return activity.GetInfo(ctx).WorkflowExecution.RunID + "-"
}

// recordDecision records what was observed of a cluster. It writes nothing that is unchanged. It returns the workflow
// type that the record asks for by now.
func (a *Activities) recordDecision(ctx context.Context, before *api.Cluster, observed apiObservation,
	d plan.Decision, runs string) (next string, err error) {
	now := a.Now()
	d = redactDecision(d)
	repair, restores := newLostServerRepair(before, d, now), false
	after, err := a.Store.UpdateCluster(ctx, before.Ref(), func(c *api.Cluster) error {
		if restores = false; c.Status.Phase != before.Status.Phase {
			return nil // an operation has started; its changes are not drift
		}
		if observed.seen != nil {
			c.Status.Resources = observed.seen.Resources
			if v := observed.seen.Versions.Kubernetes; v != "" {
				c.Status.Versions.Kubernetes = v
			}
		}
		if observed.gpus != nil {
			observed.gpus.UpdateClusterStatus(&c.Status, now)
		}
		drift := slices.Clone(d.Drift)
		if runs == "" && c.Status.Operation != nil && c.Status.PausedAt.IsZero() {
			keepNextSteps(drift, c.Status.Drift)
		}
		c.Status.SetDrift(drift, now)
		recordProgress(c, before, d, runs, now)
		for _, condition := range d.Conditions {
			c.Status.SetCondition(condition, now)
		}
		restores = requestRestore(c, before, d, repair)
		return nil
	})
	if err != nil {
		return "", err
	}
	if restores {
		a.recordRestoreEvent(ctx, before, repair)
	}
	for _, drift := range d.Drift {
		if !hadDrift(before, drift) {
			kind := api.EventWarning
			if drift.Reason.IsChange() {
				kind = api.EventNormal
			}
			a.recordEventNow(ctx, activities.NewEvent(before, drift.Machine, kind, string(drift.Reason), drift.Message))
		}
	}
	after.Status.Machines = before.Status.Machines
	return operation.RequestedOperation(after), nil
}

// keepNextSteps keeps what the operation that is under way says it does about each drift, because a sweep does not see
// which actions run.
func keepNextSteps(drift, recorded []api.Drift) {
	for i := range drift {
		for _, old := range recorded {
			if d := &drift[i]; old.IsSame(*d) && d.Next != api.HomeHeld {
				d.Next = old.Next
			}
		}
	}
}

// recordProgress records what is under way, and that the spec is reached unless it has changed since before was read.
func recordProgress(c, before *api.Cluster, d plan.Decision, operation string, now time.Time) {
	if d.Converged && c.Metadata.Generation == before.Metadata.Generation {
		c.Status.ObservedGeneration = c.Metadata.Generation
	}
	switch was := c.Status.Operation; {
	case d.Doing == "" && (operation != "" || len(d.Drift) == 0):
		c.Status.Operation = nil
	case operation == "": // a sweep does not see which actions run
	case was == nil || was.Type != operation:
		c.Status.Operation = &api.OperationStatus{Type: operation, Doing: d.Doing, Since: now}
	default:
		was.Doing = d.Doing
	}
}

// redactDecision hides secrets in a decision: it quotes Nodes, pods and clouds.
func redactDecision(d plan.Decision) plan.Decision {
	d.Drift, d.Conditions = slices.Clone(d.Drift), slices.Clone(d.Conditions)
	for i := range d.Drift {
		d.Drift[i].Message = redact.Text(d.Drift[i].Message)
	}
	for i := range d.Conditions {
		d.Conditions[i].Message = redact.Text(d.Conditions[i].Message)
	}
	return d
}

func hadDrift(c *api.Cluster, d api.Drift) bool {
	for _, old := range c.Status.Drift {
		if old.IsSame(d) {
			return true
		}
	}
	return false
}
