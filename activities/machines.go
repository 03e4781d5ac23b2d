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
	"github.com/sky-shift/skyctl/pkg/remote"
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
	RKE2 RKE2Source
	// Settings are those that this worker uses, for who asks it.
	Settings map[string]api.UsedSetting

	// settling lets machines of a cluster that end at the same time ask their cloud once.
	settling singleflight.Group
}

// CheckSpec asks the cloud of a spec what it can place, without writing anything. What is wrong with the spec is a
// result, not an error.
func (a *Machines) CheckSpec(ctx context.Context, in api.PlanInput) (api.PlanResult, error) {
	const step = "plan"
	soon, cancel := context.WithTimeout(ctx, a.Deadlines.Ask)
	defer cancel()
	var placements []api.Placement
	c, err := a.Clouds.For(in.Spec.Cloud)
	if err == nil {
		err = c.Validate(soon, in.Spec)
	}
	if err == nil {
		placements, err = c.Plan(soon, in.Spec)
	}
	invalid := append(api.FieldErrors(err), a.RKE2.checkRelease(ctx, in.Spec)...)
	if len(invalid) > 0 {
		return api.PlanResult{Invalid: invalid}, nil
	}
	if cloud.KindOf(err) == cloud.Unreachable {
		return api.PlanResult{}, forGood(failed(ctx, step, "", err)) // somebody waits, and is the one to look after it
	}
	return api.PlanResult{Placements: placements, Worker: a.workerInfo()}, failed(ctx, step, "", err)
}

// Plan ranks the placements for a cluster.
func (a *Machines) Plan(ctx context.Context, ref api.Ref) ([]api.Placement, error) {
	const step = "plan"
	c, err := lookUp(ctx, a.Store, ref)
	if err != nil {
		return nil, failed(ctx, step, "", err)
	}
	of, err := a.Clouds.For(c.Spec.Cloud)
	if err != nil {
		return nil, failed(ctx, step, "", err)
	}
	soon, cancel := context.WithTimeout(ctx, a.Deadlines.Ask)
	defer cancel()
	placements, err := of.Plan(soon, c.Spec)
	if err == nil && len(placements) == 0 {
		err = &cloud.Error{Kind: cloud.Infeasible, Message: "no placement can hold these machines"}
	}
	if err != nil {
		return placements, recordHeldUp(ctx, a.Store, c, a.Now(), failed(ctx, step, "", err))
	}
	return placements, failed(ctx, step, "", recordNotHeldUp(ctx, a.Store, c))
}

// Survey compares the machines that an earlier try left in etcd with the cloud's own listing: those that are not
// listed are marked gone. It tells whether those that are left can be gone on with.
func (a *Machines) Survey(ctx context.Context, ref api.Ref) (Survey, error) {
	const step = "look at the machines of an earlier try"
	c, of, owner, err := a.of(ctx, ref)
	if err != nil {
		return Survey{}, failed(ctx, step, "", err)
	}
	listed, err := a.list(ctx, c, of, owner)
	if err != nil {
		return Survey{}, failed(ctx, step, "", err)
	}
	var s Survey
	ending := false
	there := func(r api.Machine) bool {
		return slices.ContainsFunc(listed, func(m cloud.Machine) bool {
			if id := ownID(r); id != "" && m.ID != "" {
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
		if err := a.markGone(ctx, ref, m); err != nil {
			return Survey{}, failed(ctx, step, m.Name, err)
		}
	}
	s.Head = s.Head && !ending
	return s, nil
}

// Survey is what Machines.Survey found.
type Survey struct {
	// Head: the head is there, and no machine was about to be terminated.
	Head bool `json:"head,omitempty"`
}

// existingWithin bounds the listing of a cluster's machines that are to be ended: those that etcd has need not wait for it.
const existingWithin = 20 * time.Second

// Existing names every machine of the cluster that may exist: those in etcd that were not confirmed gone, and those
// that the cloud lists and that are beyond doubt the cluster's. What a cloud that can't be asked has besides is for Release to find.
func (a *Machines) Existing(ctx context.Context, ref api.Ref) ([]Existing, error) {
	const step = "list the machines"
	c, of, owner, err := a.of(ctx, ref)
	if err != nil {
		return nil, failed(ctx, step, "", err)
	}
	soon, cancel := context.WithTimeout(ctx, existingWithin)
	defer cancel()
	listed, err := a.list(soon, c, of, owner)
	if ctx.Err() != nil {
		return nil, failed(ctx, step, "", ctx.Err())
	}
	if err != nil {
		activity.GetLogger(ctx).Warn("the machines that etcd has are ended; the cloud could not be asked for others", "cluster", ref.Name, "error", err)
	}
	remembered, err := rememberedConflicts(ctx, a.Store)
	if err != nil {
		return nil, failed(ctx, step, "", err)
	}
	own, others := divide(c, listed, remembered)
	return existing(c, own, others), nil
}

// Release removes what the cloud made for the cluster as a whole, once each that it was on has said that it has nothing of it.
// It fails with ReasonLeft where one lists a machine of the cluster: then there is more to terminate. Copies and the like, which
// nothing may end by itself, hold up nothing: they are named, and so is what they may use of the cluster's.
func (a *Machines) Release(ctx context.Context, ref api.Ref) error {
	const step = api.StepRelease
	c, of, owner, err := a.of(ctx, ref)
	if err != nil {
		return failed(ctx, step, "", err)
	}
	left, err := a.list(ctx, c, of, owner)
	if err != nil {
		return a.releaseFailed(ctx, ref, err)
	}
	remembered, err := rememberedConflicts(ctx, a.Store)
	if err != nil {
		return failed(ctx, step, "", err)
	}
	own, others := divide(c, left, remembered)
	if len(own) > 0 {
		return failed(ctx, step, own[0].Name, &leftError{machines: len(own)})
	}
	if len(others) > 0 {
		return failed(ctx, step, "", a.keepOthers(ctx, c, others))
	}
	a.settleCosts(ctx, ref, of, owner)
	end, cancel := context.WithTimeout(ctx, a.Deadlines.Terminate)
	defer cancel()
	return a.releaseFailed(ctx, ref, of.Release(end, owner))
}

// list asks the cloud what it has of a cluster. That one of several could not be asked is no matter where the cluster never was
// on it.
func (a *Machines) list(ctx context.Context, c *api.Cluster, of cloud.Cloud, owner cloud.Owner) ([]cloud.Machine, error) {
	soon, cancel := context.WithTimeout(ctx, a.Deadlines.Ask)
	defer cancel()
	listed, err := cloud.ListKnown(soon, of, owner, knownOf(c))
	if partial := new(cloud.PartialError); errors.As(err, &partial) && !slices.ContainsFunc(cloudsOf(c), partial.About) {
		return listed, nil
	}
	return listed, err
}

// cloudsOf are the clouds that a cluster has, or once had, machines on.
func cloudsOf(c *api.Cluster) []string {
	names := []string{cloudOf(c)}
	for _, at := range c.Status.Attempts {
		names = append(names, at.Placement.Cloud)
	}
	for _, m := range c.Status.Machines {
		names = append(names, m.Placement.Cloud)
	}
	if c.Status.Placement != nil {
		names = append(names, c.Status.Placement.Cloud)
	}
	return names
}

// leftError says that the cloud has machines that should have been terminated.
type leftError struct{ machines int }

func (e *leftError) Error() string {
	return fmt.Sprintf("the cloud still lists %d of the cluster's machines", e.machines)
}

// of reads a cluster and finds its cloud and owner.
func (a *Machines) of(ctx context.Context, ref api.Ref) (*api.Cluster, cloud.Cloud, cloud.Owner, error) {
	c, err := lookUp(ctx, a.Store, ref)
	if err != nil {
		return nil, nil, cloud.Owner{}, err
	}
	of, err := a.Clouds.For(cloudOf(c))
	if err != nil {
		return nil, nil, cloud.Owner{}, err
	}
	owner, err := a.owner(ctx, ref)
	return c, of, owner, err
}

func (a *Machines) owner(ctx context.Context, ref api.Ref) (cloud.Owner, error) {
	installation, err := a.Store.Installation(ctx)
	return cloud.Owner{Installation: installation, Cluster: ref.Name, ClusterUID: ref.UID}, err
}

func (a *Machines) markGone(ctx context.Context, ref api.Ref, m api.Machine) error {
	_, err := a.Store.UpdateMachine(ctx, ref, m.Index, m.Incarnation, func(r *api.Machine) error {
		r.SetState(api.MachineGone, "", a.Now())
		return nil
	})
	return err
}

// cloudOf is the cloud that a cluster's machines are asked from.
func cloudOf(c *api.Cluster) string {
	if c.Spec.Cloud == "" && c.Status.Placement != nil {
		return c.Status.Placement.Cloud
	}
	return c.Spec.Cloud
}

// placeOf finds the record of an incarnation; another one in its place is a StaleError.
func placeOf(c *api.Cluster, m MachineRef) (*api.Machine, error) {
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
