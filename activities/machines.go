package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/store"
)

// Machines asks clouds for machines and gives them back.
type Machines struct {
	Store  *store.Store
	Clouds Clouds
	Now    func() time.Time
}

// CheckSpec asks the cloud of a spec what it can place, without writing anything. What is wrong with the spec is a
// result, not an error.
func (a *Machines) CheckSpec(ctx context.Context, in api.PlanInput) (api.PlanResult, error) {
	const step = "plan"
	c, err := a.Clouds.For(in.Spec.Cloud)
	if err == nil {
		err = c.Validate(ctx, in.Spec)
	}
	if invalid := fieldErrors(err); len(invalid) > 0 {
		return api.PlanResult{Invalid: invalid}, nil
	}
	if err != nil {
		return api.PlanResult{}, failed(ctx, step, "", err)
	}
	placements, err := c.Plan(ctx, in.Spec)
	if invalid := fieldErrors(err); len(invalid) > 0 {
		return api.PlanResult{Invalid: invalid}, nil
	}
	return api.PlanResult{Placements: placements}, failed(ctx, step, "", err)
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
	placements, err := of.Plan(ctx, c.Spec)
	if err == nil && len(placements) == 0 {
		err = &cloud.Error{Kind: cloud.Infeasible, Message: "no placement can hold these machines"}
	}
	return placements, failed(ctx, step, "", err)
}

// Submit asks the cloud for a machine, and returns its reference of the launch.
func (a *Machines) Submit(ctx context.Context, m MachineRef) (string, error) {
	const step = "launch"
	of, req, err := a.request(ctx, m)
	if err != nil {
		return "", failed(ctx, step, m.Name, err)
	}
	if err := a.note(ctx, m, api.MachineLaunching, "asking the cloud for the machine"); err != nil {
		return "", failed(ctx, step, m.Name, err)
	}
	ref, err := of.Submit(ctx, req)
	if err != nil {
		return "", failed(ctx, step, m.Name, err)
	}
	_, err = a.Store.UpdateMachine(ctx, m.Cluster, m.Index, m.Incarnation, func(r *api.Machine) error {
		r.LaunchRef = ref
		return nil
	})
	return ref, failed(ctx, step, m.Name, err)
}

// AwaitInput waits for a launch that was submitted.
type AwaitInput struct {
	Machine MachineRef `json:"machine"`
	Launch  string     `json:"launch"`
}

// Await waits until the machine is up, and records where it is.
func (a *Machines) Await(ctx context.Context, in AwaitInput) error {
	const step = "launch"
	m := in.Machine
	of, req, err := a.request(ctx, m)
	if err != nil {
		return failed(ctx, step, m.Name, err)
	}
	up, err := of.Await(ctx, req, in.Launch, a.progress(ctx, m))
	if err != nil {
		return failed(ctx, step, m.Name, err)
	}
	_, err = a.Store.UpdateMachine(ctx, m.Cluster, m.Index, m.Incarnation, func(r *api.Machine) error {
		r.CloudID, r.Address, r.PrivateAddress = up.ID, up.Address, up.PrivateAddress
		r.SSHUser, r.SSHPort = up.SSHUser, up.SSHPort
		r.CPUs, r.MemoryGiB = up.CPUs, up.MemoryGiB
		if up.HostKey != "" {
			r.HostKey = up.HostKey
		}
		if r.LaunchedAt.IsZero() {
			r.LaunchedAt = a.Now()
		}
		advance(r, api.MachineUp, "", a.Now())
		return nil
	})
	return failed(ctx, step, m.Name, err)
}

// request gathers what the cloud needs to launch a machine, keys included.
func (a *Machines) request(ctx context.Context, m MachineRef) (cloud.Cloud, cloud.LaunchRequest, error) {
	none := cloud.LaunchRequest{}
	c, err := lookUp(ctx, a.Store, m.Cluster)
	if err != nil {
		return nil, none, err
	}
	record, err := placeOf(c, m)
	if err != nil {
		return nil, none, err
	}
	of, err := a.Clouds.For(cloudOf(c))
	if err != nil {
		return nil, none, err
	}
	owner, err := a.owner(ctx, m.Cluster)
	if err != nil {
		return nil, none, err
	}
	login, err := a.Store.GetSecret(ctx, m.Cluster, store.SecretSSHKey)
	if err != nil {
		return nil, none, err
	}
	public, err := remote.PublicKey(login)
	if err != nil {
		return nil, none, err
	}
	host, err := a.Store.GetSecret(ctx, m.Cluster, store.SecretHostKey(m.Incarnation))
	if err != nil {
		return nil, none, err
	}
	return of, cloud.LaunchRequest{
		Owner: owner, Name: m.Name, Index: m.Index, Incarnation: m.Incarnation,
		Placement: record.Placement, Spec: c.Spec, AuthorizedKey: public, HostKey: host,
	}, nil
}

// Survey compares the machines that an earlier try left in etcd with the cloud's own listing: those that are not
// listed are marked gone. It returns the names of all that are left, and whether they can be gone on with: the head is
// among them, and none of them was about to be terminated.
func (a *Machines) Survey(ctx context.Context, ref api.Ref) (Survey, error) {
	const step = "look at the machines of an earlier try"
	c, of, owner, err := a.of(ctx, ref)
	if err != nil {
		return Survey{}, failed(ctx, step, "", err)
	}
	listed, err := of.List(ctx, owner)
	if err != nil {
		return Survey{}, failed(ctx, step, "", err)
	}
	there := map[string]string{}
	var s Survey
	ending := false
	for _, m := range listed {
		there[m.Name] = m.Incarnation
		s.Names = append(s.Names, m.Name)
	}
	for _, m := range c.Status.Machines {
		if m.State == api.MachineGone {
			continue
		}
		if there[m.Name] == m.Incarnation {
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
	Names []string `json:"names,omitempty"`
	Head  bool     `json:"head,omitempty"`
}

// TerminateInput names a machine of a cluster; it need not be in etcd.
type TerminateInput struct {
	Cluster api.Ref `json:"cluster"`
	Name    string  `json:"name"`
}

// Terminate ends a machine and confirms that the cloud no longer lists it. A machine of that name that belongs to
// another installation is left alone, and does not keep ours from being counted as gone.
func (a *Machines) Terminate(ctx context.Context, in TerminateInput) error {
	const step = "terminate"
	c, of, owner, err := a.of(ctx, in.Cluster)
	if err != nil {
		return failed(ctx, step, in.Name, err)
	}
	for _, m := range c.Status.Machines {
		if m.Name == in.Name && m.State != api.MachineGone {
			if err := a.note(ctx, refOf(in.Cluster, m), api.MachineTerminating, "terminating"); err != nil {
				return failed(ctx, step, in.Name, err)
			}
		}
	}
	err = of.Terminate(ctx, owner, in.Name)
	if cloud.KindOf(err) == cloud.Conflict {
		// The name is somebody else's on the cloud, which has each only once: ours was never made, or is gone.
		err = nil
	}
	if err != nil {
		return failed(ctx, step, in.Name, err)
	}
	for _, m := range c.Status.Machines {
		if m.Name == in.Name && m.State != api.MachineGone {
			return failed(ctx, step, in.Name, a.markGone(ctx, in.Cluster, m))
		}
	}
	return nil
}

// Existing names every machine of the cluster that may exist: those in etcd that were not confirmed gone, and those
// that the cloud lists.
func (a *Machines) Existing(ctx context.Context, ref api.Ref) ([]string, error) {
	const step = "list the machines"
	c, of, owner, err := a.of(ctx, ref)
	if err != nil {
		return nil, failed(ctx, step, "", err)
	}
	listed, err := of.List(ctx, owner)
	if err != nil {
		return nil, failed(ctx, step, "", err)
	}
	names := map[string]bool{}
	for _, m := range listed {
		names[m.Name] = true
	}
	for _, m := range c.Status.Machines {
		if m.State != api.MachineGone {
			names[m.Name] = true
		}
	}
	return sortedKeys(names), nil
}

// Release removes what the cloud made for the cluster as a whole. It fails with ReasonLeft where the cloud lists a machine
// of the cluster: then there is more to terminate.
func (a *Machines) Release(ctx context.Context, ref api.Ref) error {
	const step = "confirm that nothing is left"
	_, of, owner, err := a.of(ctx, ref)
	if err != nil {
		return failed(ctx, step, "", err)
	}
	left, err := of.List(ctx, owner)
	if err != nil {
		return failed(ctx, step, "", err)
	}
	if len(left) > 0 {
		return failed(ctx, step, left[0].Name, &leftError{machines: len(left)})
	}
	return failed(ctx, step, "", of.Release(ctx, owner))
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

// note records what is being done to a machine now.
func (a *Machines) note(ctx context.Context, m MachineRef, state api.MachineState, doing string) error {
	return note(ctx, a.Store, m, state, doing, a.Now())
}

func (a *Machines) progress(ctx context.Context, m MachineRef) func(string) {
	return progress(ctx, a.Store, m, a.Now)
}

func (a *Machines) markGone(ctx context.Context, ref api.Ref, m api.Machine) error {
	_, err := a.Store.UpdateMachine(ctx, ref, m.Index, m.Incarnation, func(r *api.Machine) error {
		r.GoneAt = a.Now()
		advance(r, api.MachineGone, "", a.Now())
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

// fieldErrors returns the bad input that err consists of.
func fieldErrors(err error) []api.FieldError {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		var all []api.FieldError
		for _, e := range joined.Unwrap() {
			all = append(all, fieldErrors(e)...)
		}
		return all
	}
	var one *api.FieldError
	if errors.As(err, &one) {
		return []api.FieldError{*one}
	}
	return nil
}
