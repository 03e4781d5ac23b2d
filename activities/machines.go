package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/singleflight"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/store"
)

// Machines asks clouds for machines and gives them back.
type Machines struct {
	Store     *store.Store
	Clouds    Clouds
	Pool      *remote.Pool
	Deadlines Deadlines
	Now       func() time.Time
	// RKE2 is what Clusters has, to check a spec against.
	RKE2 rke2.Source
	// Settings are those that this worker uses, for who asks it.
	Settings map[string]api.UsedSetting

	// settling lets machines of a cluster that end at the same time ask their cloud once.
	settling singleflight.Group
}

// CheckSpec asks the cloud of a spec what it can place, without writing anything. What is wrong with the spec is a
// result, not an error.
func (a *Machines) CheckSpec(ctx context.Context, in operation.PlanInput) (operation.PlanResult, error) {
	const step = "plan"
	soon, cancel := context.WithTimeout(ctx, a.Deadlines.Ask)
	defer cancel()
	var placements []api.Placement
	c, err := a.Clouds.FindCloud(in.Spec.Cloud)
	if err == nil {
		err = c.ValidateSpec(soon, in.Spec)
	}
	if err == nil {
		placements, err = c.RankPlacements(soon, in.Spec)
	}
	invalid := append(api.FieldErrorsOf(err), a.RKE2.CheckRelease(ctx, in.Spec)...)
	if len(invalid) > 0 {
		return operation.PlanResult{Invalid: invalid}, nil
	}
	if cloud.KindOf(err) == cloud.Unreachable {
		// somebody waits, and is the one to look after it
		return operation.PlanResult{}, makeFinal(stepError(ctx, step, "", err))
	}
	return operation.PlanResult{Placements: placements, Worker: a.newWorkerInfo()}, stepError(ctx, step, "", err)
}

// Plan ranks the placements for a cluster.
func (a *Machines) Plan(ctx context.Context, ref api.Ref) ([]api.Placement, error) {
	const step = "plan"
	c, err := readCluster(ctx, a.Store, ref)
	if err != nil {
		return nil, stepError(ctx, step, "", err)
	}
	of, err := a.Clouds.FindCloud(c.Spec.Cloud)
	if err != nil {
		return nil, stepError(ctx, step, "", err)
	}
	soon, cancel := context.WithTimeout(ctx, a.Deadlines.Ask)
	defer cancel()
	placements, err := of.RankPlacements(soon, c.Spec)
	if err == nil && len(placements) == 0 {
		err = &cloud.Error{Kind: cloud.Infeasible, Message: "no placement can hold these machines"}
	}
	if err != nil {
		return placements, recordCreateBlocked(ctx, a.Store, c, a.Now(), stepError(ctx, step, "", err))
	}
	return placements, stepError(ctx, step, "", clearCreateBlocked(ctx, a.Store, c))
}

// Survey compares the machines that an earlier try left in etcd with the cloud's own listing: those that are not
// listed are marked gone. It tells whether those that are left can be gone on with.
func (a *Machines) Survey(ctx context.Context, ref api.Ref) (SurveyResult, error) {
	const step = "look at the machines of an earlier try"
	c, of, owner, err := a.readClusterAndCloud(ctx, ref)
	if err != nil {
		return SurveyResult{}, stepError(ctx, step, "", err)
	}
	listed, err := a.listClusterMachines(ctx, c, of, owner)
	if err != nil {
		return SurveyResult{}, stepError(ctx, step, "", err)
	}
	var s SurveyResult
	ending := false
	there := func(r api.Machine) bool {
		return slices.ContainsFunc(listed, func(m cloud.Machine) bool {
			if id := recordedCloudID(r); id != "" && m.ID != "" {
				return m.ID == id
			}
			return m.Name == r.Name && m.Incarnation == r.Incarnation
		})
	}
	for _, m := range c.Status.Machines {
		if m.State == api.MachineGone {
			continue
		}
		if there(m) {
			s.Head = s.Head || m.Role == api.RoleHead
			ending = ending || m.State == api.MachineTerminating
			continue
		}
		if err := a.recordMachineGone(ctx, ref, m); err != nil {
			return SurveyResult{}, stepError(ctx, step, m.Name, err)
		}
	}
	s.Head = s.Head && !ending
	return s, nil
}

// SurveyResult is what Machines.Survey found.
type SurveyResult struct {
	// Head: the head is there, and no machine was about to be terminated.
	Head bool `json:"head,omitempty"`
}

// listExistingTimeout bounds the listing of a cluster's machines that are to be ended: those that etcd has need not
// wait for it.
const listExistingTimeout = 20 * time.Second

// Existing names every machine of the cluster that may exist: those in etcd that were not confirmed gone, and those
// that the cloud lists and that are beyond doubt the cluster's. What a cloud that can't be asked has besides is for
// Release to find.
func (a *Machines) Existing(ctx context.Context, ref api.Ref) ([]ExistingMachine, error) {
	const step = "list the machines"
	c, of, owner, err := a.readClusterAndCloud(ctx, ref)
	if err != nil {
		return nil, stepError(ctx, step, "", err)
	}
	soon, cancel := context.WithTimeout(ctx, listExistingTimeout)
	defer cancel()
	listed, err := a.listClusterMachines(soon, c, of, owner)
	if ctx.Err() != nil {
		return nil, stepError(ctx, step, "", ctx.Err())
	}
	if err != nil {
		activity.GetLogger(ctx).Warn("the machines that etcd has are ended; the cloud could not be asked for others",
			"cluster", ref.Name, "error", err)
	}
	remembered, err := readOrphanConflicts(ctx, a.Store)
	if err != nil {
		return nil, stepError(ctx, step, "", err)
	}
	own, others := splitByConflict(c, listed, remembered)
	return mergeExisting(c, own, others), nil
}

// Release removes what the cloud made for the cluster as a whole, once each that it was on has said that it has nothing
// of it. It fails with ReasonLeft where one lists a machine of the cluster: then there is more to terminate. Copies and
// the like, which nothing may end by itself, hold up nothing: they are named, and so is what they may use of the
// cluster's.
func (a *Machines) Release(ctx context.Context, ref api.Ref) error {
	const step = api.StepRelease
	c, of, owner, err := a.readClusterAndCloud(ctx, ref)
	if err != nil {
		return stepError(ctx, step, "", err)
	}
	left, err := a.listClusterMachines(ctx, c, of, owner)
	if err != nil {
		return a.recordReleaseError(ctx, ref, err)
	}
	remembered, err := readOrphanConflicts(ctx, a.Store)
	if err != nil {
		return stepError(ctx, step, "", err)
	}
	own, others := splitByConflict(c, left, remembered)
	if len(own) > 0 {
		return stepError(ctx, step, own[0].Name, &machinesLeftError{machines: len(own)})
	}
	if len(others) > 0 {
		return stepError(ctx, step, "", a.recordLeftBehind(ctx, c, others))
	}
	a.updateLifetimes(ctx, ref, of, owner)
	end, cancel := context.WithTimeout(ctx, a.Deadlines.Terminate)
	defer cancel()
	return a.recordReleaseError(ctx, ref, of.RemoveClusterResources(end, owner))
}

// listClusterMachines asks the cloud what it has of a cluster. That one of several could not be asked is no matter
// where the cluster never was on it.
func (a *Machines) listClusterMachines(ctx context.Context, c *api.Cluster, of cloud.Cloud,
	owner cloud.Owner) ([]cloud.Machine, error) {
	soon, cancel := context.WithTimeout(ctx, a.Deadlines.Ask)
	defer cancel()
	listed, err := cloud.ListVerified(soon, of, owner, knownOfCluster(c))
	if partial := new(cloud.PartialError); errors.As(err, &partial) &&
		!slices.ContainsFunc(c.CloudNames(), partial.LacksCloud) {
		return listed, nil
	}
	return listed, err
}

// machinesLeftError says that the cloud has machines that should have been terminated.
type machinesLeftError struct{ machines int }

func (e *machinesLeftError) Error() string {
	return fmt.Sprintf("the cloud still lists %d of the cluster's machines", e.machines)
}

// Reason is ReasonLeft.
func (e *machinesLeftError) Reason() string { return ReasonLeft }

// Final is true: the workflow terminates them first.
func (e *machinesLeftError) Final() bool { return true }

// readClusterAndCloud reads a cluster and finds its cloud and owner.
func (a *Machines) readClusterAndCloud(ctx context.Context, ref api.Ref) (*api.Cluster, cloud.Cloud, cloud.Owner,
	error) {
	c, err := readCluster(ctx, a.Store, ref)
	if err != nil {
		return nil, nil, cloud.Owner{}, err
	}
	of, err := a.Clouds.FindCloud(c.CloudName())
	if err != nil {
		return nil, nil, cloud.Owner{}, err
	}
	owner, err := a.readCloudOwner(ctx, ref)
	return c, of, owner, err
}

func (a *Machines) readCloudOwner(ctx context.Context, ref api.Ref) (cloud.Owner, error) {
	installation, err := a.Store.EnsureInstallationID(ctx)
	return cloud.Owner{Installation: installation, Cluster: ref.Name, ClusterUID: ref.UID}, err
}

func (a *Machines) recordMachineGone(ctx context.Context, ref api.Ref, m api.Machine) error {
	_, err := a.Store.UpdateMachine(ctx, ref, m.Index, m.Incarnation, func(r *api.Machine) error {
		r.SetState(api.MachineGone, "", a.Now())
		return nil
	})
	return err
}

// findMachineRecord finds the record of an incarnation; another one in its place is a StaleError.
func findMachineRecord(c *api.Cluster, m MachineRef) (*api.Machine, error) {
	current := "none"
	for i := range c.Status.Machines {
		r := &c.Status.Machines[i]
		if r.Index != m.Index {
			continue
		}
		if r.Incarnation == m.Incarnation {
			return r, nil
		}
		current = r.Incarnation
	}
	return nil, &store.StaleError{Machine: m.Name, Incarnation: m.Incarnation, Current: current}
}
