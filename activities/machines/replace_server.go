package machines

import (
	"context"
	"fmt"
	"slices"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
)

// ConfirmGone succeeds once the complete list of the cloud lacks a machine that was terminated: under its id, and under
// its incarnation. While the cloud lists it, the error has ReasonLeft: nothing can take its place.
func (a *Activities) ConfirmGone(ctx context.Context, m activities.MachineRef) error {
	const step = "confirm that the machine is gone"
	c, onCloud, owner, err := a.readClusterAndCloud(ctx, m.Cluster)
	if err != nil {
		return activities.StepError(ctx, step, m.Name, err)
	}
	id := ""
	for _, r := range c.Status.Machines {
		if r.Index == m.Index && r.Incarnation == m.Incarnation {
			id = activities.RecordedCloudID(r)
		}
	}
	listed, err := a.listClusterMachines(ctx, c, onCloud, owner)
	if err != nil {
		return activities.StepError(ctx, step, m.Name, err)
	}
	for _, l := range listed {
		if l.Incarnation == m.Incarnation || id != "" && l.ID == id {
			return activities.StepError(ctx, step, m.Name, &stillListedError{name: l.Name, id: l.ID})
		}
	}
	return nil
}

// stillListedError says that the cloud lists a machine that was terminated.
type stillListedError struct{ name, id string }

func (e *stillListedError) Error() string {
	return fmt.Sprintf("the cloud still lists %s (id %s), so no other machine can take its place", e.name, e.id)
}

// Reason is ReasonLeft.
func (e *stillListedError) Reason() string { return activities.ReasonLeft }

// Final is true: the workflow asks again.
func (e *stillListedError) Final() bool { return true }

// PlanServer ranks the placements for the only server of a cluster whose workers stay: first that of the machine with
// the record of the server, then the others of its region.
func (a *Activities) PlanServer(ctx context.Context, ref api.Ref) ([]api.Placement, error) {
	const step = "find a placement for the server"
	c, err := activities.ReadCluster(ctx, a.Store, ref)
	if err != nil {
		return nil, activities.StepError(ctx, step, "", err)
	}
	head, err := c.Head()
	if err != nil {
		return nil, activities.StepError(ctx, step, "", err)
	}
	first := head.Placement
	group := c.Spec.ControlPlaneGroup()
	group.Cloud, group.Region, group.NumNodes = first.Cloud, first.Region, 1
	onCloud, err := a.Clouds.FindCloud(group.Cloud)
	if err != nil {
		return nil, activities.StepError(ctx, step, "", err)
	}
	var beside api.Neighbors
	for _, m := range c.Status.Machines {
		if m.Role != api.RoleHead && m.State.MayExist() {
			beside.Machines++
			beside.MemoryGiB += m.Placement.MemoryGiB
		}
	}
	queryCtx, cancel := context.WithTimeout(ctx, a.Deadlines.Query)
	defer cancel()
	ranked, err := onCloud.RankPlacements(queryCtx, group, beside)
	if mayPass(err) {
		return nil, activities.StepError(ctx, step, "", err)
	}
	others := slices.DeleteFunc(group.PreferServerSized(ranked),
		func(p api.Placement) bool { return p.IsSamePlace(first) })
	return append([]api.Placement{first}, others...), nil // the region may not offer others
}
