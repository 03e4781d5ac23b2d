package observe

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/plan"
	"github.com/sky-shift/skyctl/pkg/redact"
)

// AssessInput asks what is to be done about a cluster.
type AssessInput struct {
	Cluster api.Ref `json:"cluster"`
	// Asked is when a person asked for the repair: what was tried before that does not count. Zero where nobody did.
	Asked time.Time `json:"asked,omitzero"`
}

// Assessment is what is to be done about a cluster now.
type Assessment struct {
	Actions []RepairAction `json:"actions,omitempty"`
	// Fail is why the cluster is to go to ERROR; nil where it is not.
	Fail *api.Failure `json:"fail,omitempty"`
	// Serves: the cluster does what it is for, though something may be left to wait for.
	Serves bool `json:"serves,omitempty"`
	// Placement is where its machines are.
	Placement api.Placement `json:"placement"`
}

// RepairAction is an action, and the machine that it is done to.
type RepairAction struct {
	api.Action
	On activities.MachineRef `json:"on"`
}

// Assess looks at a cluster again, and decides what is to be done about it now.
func (a *Activities) Assess(ctx context.Context, in AssessInput) (Assessment, error) {
	const step = "look at the cluster"
	c, err := activities.ReadCluster(ctx, a.Store, in.Cluster)
	if err != nil {
		return Assessment{}, activities.StepError(ctx, step, "", err)
	}
	if c.Status.Phase != api.PhaseReady && c.Status.Phase != api.PhaseError {
		return Assessment{}, nil // nothing for a repair
	}
	all, err := a.listProviders(ctx, []string{a.Clouds.ProviderName(c.CloudName())})
	if err != nil {
		return Assessment{}, activities.StepError(ctx, step, "", err)
	}
	// after the listing: see listProviderShared
	if c, err = activities.ReadCluster(ctx, a.Store, in.Cluster); err != nil {
		return Assessment{}, activities.StepError(ctx, step, "", err)
	}
	if err := plan.ValidateCluster(c); err != nil {
		a.reportInvalid(ctx, c, err)
		return Assessment{}, nil
	}
	decision, world, err := a.assessCluster(ctx, c, all.forCluster(a.Clouds, c), in.Asked)
	if err != nil {
		return Assessment{}, activities.StepError(ctx, step, "", err)
	}
	found := Assessment{Fail: decision.Fail, Serves: world.CloudError == "" && world.APIError == "" &&
		world.GPU == "" && len(world.Nodes) > 0}
	if c.Status.Placement != nil {
		found.Placement = *c.Status.Placement
	}
	for _, action := range decision.Actions {
		on := activities.MachineRef{Cluster: in.Cluster, Index: action.Index, Name: action.Machine,
			Incarnation: action.Incarnation}
		for _, m := range c.Status.Machines {
			if action.Kind != api.ActionTerminate && m.Index == action.Index && m.Incarnation == action.Incarnation {
				// what is terminated is just what was named, and none that is like it
				on = activities.MachineRefOf(in.Cluster, m)
			}
		}
		found.Actions = append(found.Actions, RepairAction{Action: action, On: on})
	}
	return found, nil
}

// assessCluster looks at a READY or failed cluster, decides what is to be done, and records both. Where somebody asked
// for it at some time, a cluster that can be mended is planned as the READY one it should be, and what was tried before
// does not count.
func (a *Activities) assessCluster(ctx context.Context, c *api.Cluster, listed providerListing,
	asked time.Time) (plan.Decision, plan.Observation, error) {
	if err := a.recordCloudIDs(ctx, c, listed.machines[c.Metadata.UID]); err != nil {
		return plan.Decision{}, plan.Observation{}, err
	}
	as := *c
	if !asked.IsZero() {
		if c.Status.CanBeRepaired() {
			as.Status.Phase = api.PhaseReady
		}
		mine := repairIDPrefix(ctx) // whatever the clocks of the server and of this worker say
		as.Status.Repairs = slices.DeleteFunc(slices.Clone(c.Status.Repairs), func(r api.Repair) bool {
			// no other run can have made one since: one at a time works on a cluster
			return !strings.HasPrefix(r.ID, mine)
		})
	}
	world, saw, err := a.observeCluster(ctx, &as, listed)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		// what was not seen in time is no drift
		return plan.Decision{}, world, fmt.Errorf("look at cluster %s: %w", c.Metadata.Name, err)
	}
	decision := plan.Decide(&as, world, a.Policy)
	if err := a.withholdActions(ctx, &decision); err != nil {
		return plan.Decision{}, world, err
	}
	return decision, world, a.recordDecision(ctx, c, saw, decision)
}

// repairIDPrefix begins the ids of the repairs that the workflow of this activity has recorded.
func repairIDPrefix(ctx context.Context) string {
	return activity.GetInfo(ctx).WorkflowExecution.RunID + "-"
}

// recordDecision writes down what was seen of a cluster. What is as it was is not written.
func (a *Activities) recordDecision(ctx context.Context, before *api.Cluster, saw apiObservation,
	d plan.Decision) error {
	now := a.Now()
	d = redactDecision(d)
	_, err := a.Store.UpdateCluster(ctx, before.Ref(), func(c *api.Cluster) error {
		if c.Status.Phase != before.Status.Phase {
			return nil // an operation began meanwhile; what it does is no drift
		}
		if saw.seen != nil {
			c.Status.Resources = saw.seen.Resources
			if v := saw.seen.Versions.Kubernetes; v != "" {
				c.Status.Versions.Kubernetes = v
			}
		}
		if saw.gpus != nil {
			saw.gpus.UpdateClusterStatus(&c.Status, now)
		}
		c.Status.SetDrift(append([]api.Drift(nil), d.Drift...), now)
		for _, condition := range d.Conditions {
			c.Status.SetCondition(condition, now)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, drift := range d.Drift {
		if !hadDrift(before, drift) {
			a.recordEventNow(ctx, activities.NewEvent(before, drift.Machine, api.EventWarning, string(drift.Reason),
				drift.Message))
		}
	}
	return nil
}

// redactDecision is a decision whose words may be kept: some of them are those of Nodes, pods and clouds.
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
		if old.Machine == d.Machine && old.Reason == d.Reason {
			return true
		}
	}
	return false
}
