package activities

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/kube/kubefile"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/store"
)

// Clusters keeps the record of a cluster in etcd.
type Clusters struct {
	Store *store.Store
	Pool  *remote.Pool
	// RKE2 says which release new clusters get, and from where, as far as their specs do not.
	RKE2 rke2.Source
	// ClusterDir is where a person's files of a cluster are kept; nil where this worker does not run as that person.
	ClusterDir func(cluster string) string
	Now        func() time.Time
}

// BeginResult is what Provision has to know of a cluster to start with.
type BeginResult struct {
	// Placement is where machines of an earlier try may still be.
	Placement *api.Placement `json:"placement,omitempty"`
	// Tried are the placements that this create has been through already.
	Tried []api.Placement `json:"tried,omitempty"`
	// Settled: nothing is to be provisioned, since the cluster is READY or in ERROR by now.
	Settled bool `json:"settled,omitempty"`
	// GPUs: the cluster's accelerators have to be made known to Kubernetes before it is READY.
	GPUs bool `json:"gpus,omitempty"`
}

// Begin marks the cluster as being provisioned, and pins the release that all its machines will install: anew, unless
// there are machines that may have it already.
func (a *Clusters) Begin(ctx context.Context, in operation.ProvisionInput) (BeginResult, error) {
	const step = "begin"
	ref := in.Cluster
	c, err := readCluster(ctx, a.Store, ref)
	if err != nil {
		return BeginResult{}, stepError(ctx, step, "", err)
	}
	if c.Status.Phase == api.PhaseReady || c.Status.Phase == api.PhaseError {
		return BeginResult{Settled: true}, nil // whoever started this had seen an older state
	}
	artifacts := c.Status.Artifacts
	if artifacts == nil || !in.Continued && !api.AnyMachineMayExist(c.Status.Machines) {
		release := a.RKE2.ForSpec(c.Spec)
		pinned, err := rke2.ResolveArtifacts(ctx, release.Version, release.Source, release.SHA256)
		if err != nil {
			return BeginResult{}, recordCreateBlocked(ctx, a.Store, c, a.Now(),
				stepError(ctx, "choose the RKE2 release", "", err))
		}
		artifacts = &pinned
	}
	c, err = a.Store.UpdateCluster(ctx, ref, func(c *api.Cluster) error {
		if c.Status.Phase == api.PhaseDeleting {
			return errDeleting
		}
		c.Status.SetPhase(api.PhaseProvisioning, "", a.Now())
		c.Status.Failure = nil
		c.Status.RemoveCondition(api.CreateBegun)
		if !in.Continued {
			c.Status.Attempts = nil
		}
		c.Status.Artifacts = artifacts
		c.Status.Versions.RKE2 = artifacts.Version
		return nil
	})
	if errors.Is(err, errDeleting) {
		return BeginResult{}, temporal.NewNonRetryableApplicationError("the cluster is being deleted", ReasonDeleting,
			nil)
	}
	if err != nil {
		return BeginResult{}, stepError(ctx, step, "", err)
	}
	begun := BeginResult{Placement: c.Status.Placement, GPUs: c.Spec.ManagesGPUs()}
	for _, attempt := range c.Status.Attempts {
		begun.Tried = append(begun.Tried, attempt.Placement)
	}
	return begun, nil
}

// clearMachineStatus takes back what held of machines that are gone.
func clearMachineStatus(s *api.ClusterStatus) {
	s.Conditions, s.Endpoint, s.Resources = nil, "", api.Resources{}
}

var errDeleting = errors.New("deleting")

// WantedState is what etcd says is to become of a cluster whose operation did not succeed.
type WantedState struct {
	Deleted bool `json:"deleted,omitempty"`
	// KeepMachines asks to leave machines in place on failure.
	KeepMachines bool `json:"keep_machines,omitempty"`
}

// Wanted reads what is wanted of the cluster now; ReasonGone where it is not there any more.
func (a *Clusters) Wanted(ctx context.Context, ref api.Ref) (WantedState, error) {
	c, err := readCluster(ctx, a.Store, ref)
	if err != nil {
		return WantedState{}, stepError(ctx, "read the cluster", "", err)
	}
	return WantedState{Deleted: c.Status.Phase == api.PhaseDeleting, KeepMachines: c.Status.KeepOnFailure}, nil
}

// ReserveInput asks for the machines of a cluster in one placement.
type ReserveInput struct {
	Cluster   api.Ref       `json:"cluster"`
	Placement api.Placement `json:"placement"`
}

// Reserve writes a machine for every place of the cluster into etcd, before anything is launched: those that an
// earlier try left there in this placement are kept, every other place gets a new incarnation. The keys that the
// machines need are made here, once. Attempts that overlap end with the same machines.
func (a *Clusters) Reserve(ctx context.Context, in ReserveInput) ([]MachineRef, error) {
	const step = "reserve machines"
	c, err := readCluster(ctx, a.Store, in.Cluster)
	if err != nil {
		return nil, stepError(ctx, step, "", err)
	}
	fresh, err := a.newIncarnations(c, in.Placement)
	if err != nil {
		return nil, stepError(ctx, step, "", err)
	}
	machines, err := a.Store.ReserveMachines(ctx, in.Cluster, fresh, func(m api.Machine) bool {
		return m.State == api.MachineGone || m.Placement != in.Placement && !m.State.MayExist()
	})
	if err != nil {
		return nil, stepError(ctx, step, "", err)
	}
	for _, m := range machines {
		if m.Placement != in.Placement {
			return nil, stepError(ctx, step, m.Name, &cloud.Error{Kind: cloud.Conflict, Message: fmt.Sprintf(
				"it may still exist in %s/%s (%s): delete the cluster first", m.Placement.Cloud, m.Placement.Region,
				m.State)})
		}
	}
	if err := a.ensureClusterKeys(ctx, in.Cluster, machines); err != nil {
		return nil, stepError(ctx, step, "", err)
	}
	if err := a.Store.RecordCloudUse(ctx, in.Placement.Cloud, a.Now()); err != nil {
		return nil, stepError(ctx, step, "", err)
	}
	kept := api.AnyMachineMayExist(machines)
	_, err = a.Store.UpdateCluster(ctx, in.Cluster, func(c *api.Cluster) error {
		c.Status.Placement = &in.Placement
		if !kept {
			clearMachineStatus(&c.Status)
		}
		return nil
	})
	if err != nil {
		return nil, stepError(ctx, step, "", err)
	}
	refs := make([]MachineRef, len(machines))
	for i, m := range machines {
		refs[i] = machineRefOf(in.Cluster, m)
	}
	return refs, nil
}

// newIncarnations is a new incarnation for every place of the cluster. It remembers what those before it have cost,
// which ends with their being gone: nothing else does once it has taken their place.
func (a *Clusters) newIncarnations(c *api.Cluster, placement api.Placement) ([]api.Machine, error) {
	before := map[int]api.Machine{}
	for _, m := range c.Status.Machines {
		before[m.Index] = m
	}
	machines := make([]api.Machine, c.Spec.NumNodes)
	for i := range machines {
		incarnation, err := api.NewIncarnation(rand.Reader)
		if err != nil {
			return nil, err
		}
		machines[i] = api.NewMachine(c.Metadata.Name, i, incarnation, placement, a.Now())
		if old, ok := before[i]; ok {
			machines[i].CarryOverCost(old, a.Now())
		}
	}
	return machines, nil
}

// ensureClusterKeys creates the SSH key and the agent token of the cluster and the host key of each machine, where they
// are not there. Those that machines of the cluster know already are not made anew.
func (a *Clusters) ensureClusterKeys(ctx context.Context, ref api.Ref, machines []api.Machine) error {
	if err := a.checkNoKeysLost(ctx, ref); err != nil {
		return err
	}
	keys := []string{store.SecretSSHKey}
	for _, m := range machines {
		keys = append(keys, store.SecretHostKey(m.Incarnation))
	}
	for _, key := range keys {
		private, _, err := remote.NewKeyPair()
		if err != nil {
			return err
		}
		if _, err := a.Store.CreateSecret(ctx, ref, key, private); err != nil {
			return err
		}
	}
	password, err := rke2.NewAgentToken()
	if err != nil {
		return err
	}
	_, err = a.Store.CreateSecret(ctx, ref, store.SecretAgentPassword, []byte(password))
	return err
}

// RecordAttemptInput records a placement that could not give the machines.
type RecordAttemptInput struct {
	Cluster   api.Ref       `json:"cluster"`
	Placement api.Placement `json:"placement"`
	Failure   api.Failure   `json:"failure"`
	// Last: no other placement is tried after this one, whose machines are still there.
	Last bool `json:"last,omitempty"`
}

// RecordAttempt adds a failed placement to the cluster's record.
func (a *Clusters) RecordAttempt(ctx context.Context, in RecordAttemptInput) error {
	c, err := a.Store.UpdateCluster(ctx, in.Cluster, func(c *api.Cluster) error {
		c.Status.Attempts = append(c.Status.Attempts, api.FailedPlacement{
			Placement: in.Placement, Machine: in.Failure.Machine, Reason: in.Failure.Reason,
			Message: redact.Text(in.Failure.Message), At: a.Now(),
		})
		if !in.Last {
			c.Status.Placement = nil
		}
		return nil
	})
	if err == nil {
		a.recordEventNow(ctx, newEvent(c, in.Failure.Machine, api.EventWarning, in.Failure.Reason, fmt.Sprintf(
			"%s/%s could not give the machines: %s", in.Placement.Cloud, in.Placement.Region, in.Failure.Message)))
	}
	return stepError(ctx, "record a failed placement", "", err)
}

// SetConditionInput sets one condition of a cluster.
type SetConditionInput struct {
	Cluster   api.Ref       `json:"cluster"`
	Condition api.Condition `json:"condition"`
}

// SetCondition records a condition.
func (a *Clusters) SetCondition(ctx context.Context, in SetConditionInput) error {
	_, err := a.Store.UpdateCluster(ctx, in.Cluster, func(c *api.Cluster) error {
		in.Condition.Message = redact.Text(in.Condition.Message)
		c.Status.SetCondition(in.Condition, a.Now())
		return nil
	})
	return stepError(ctx, "record condition "+string(in.Condition.Type), "", err)
}

// MarkReady measures the cluster through its API and marks it READY.
func (a *Clusters) MarkReady(ctx context.Context, ref api.Ref) error {
	const step = "measure the cluster"
	c, err := readCluster(ctx, a.Store, ref)
	if err != nil {
		return stepError(ctx, step, "", err)
	}
	resources, versions, err := a.measureCluster(ctx, c)
	if err != nil {
		return stepError(ctx, step, "", err)
	}
	_, err = a.Store.UpdateCluster(ctx, ref, func(c *api.Cluster) error {
		if c.Status.Phase == api.PhaseDeleting {
			return errDeleting
		}
		c.Status.Resources = resources
		c.Status.Versions.Kubernetes = versions.Kubernetes
		c.Status.SetPhase(api.PhaseReady, "", a.Now())
		return nil
	})
	if errors.Is(err, errDeleting) {
		return temporal.NewNonRetryableApplicationError("the cluster is being deleted", ReasonDeleting, nil)
	}
	if err == nil {
		a.recordEventNow(ctx, newEvent(c, "", api.EventNormal, "Ready",
			"READY with "+formatCount(len(c.Status.Machines), "machine")))
	}
	return stepError(ctx, "mark the cluster READY", "", err)
}

// MarkFailedInput marks a cluster as failed.
type MarkFailedInput struct {
	Cluster api.Ref     `json:"cluster"`
	Failure api.Failure `json:"failure"`
}

// MarkFailed puts the cluster into phase ERROR with what a person has to know. One that is being deleted stays so, and
// keeps the failure.
func (a *Clusters) MarkFailed(ctx context.Context, in MarkFailedInput) error {
	now, err := readCluster(ctx, a.Store, in.Cluster)
	if err != nil {
		return stepError(ctx, "mark the cluster as failed", "", err)
	}
	left := api.AnyMachineMayExist(now.Status.Machines)
	in.Failure = addBlockedReason(in.Failure, now)
	_, err = a.Store.UpdateCluster(ctx, in.Cluster, func(c *api.Cluster) error {
		in.Failure.At = a.Now()
		in.Failure.Message, in.Failure.Log = redact.Text(in.Failure.Message), redact.Lines(strings.Join(in.Failure.Log,
			"\n"))
		c.Status.Failure = &in.Failure
		c.Status.RemoveCondition(api.CreateBegun)
		if c.Status.Phase != api.PhaseDeleting {
			c.Status.SetPhase(api.PhaseError, in.Failure.Reason, a.Now())
		}
		if !left {
			clearMachineStatus(&c.Status)
		}
		return nil
	})
	if err == nil {
		a.recordEventNow(ctx, newEvent(now, in.Failure.Machine, api.EventWarning, in.Failure.Reason,
			in.Failure.Step+": "+in.Failure.Message))
	}
	return stepError(ctx, "mark the cluster as failed", "", err)
}

// MarkDeleting records that the cluster is to go.
func (a *Clusters) MarkDeleting(ctx context.Context, ref api.Ref) error {
	_, err := a.Store.UpdateCluster(ctx, ref, func(c *api.Cluster) error {
		c.Status.SetPhase(api.PhaseDeleting, "", a.Now())
		// what is left is found out anew
		c.Status.Drift = slices.DeleteFunc(c.Status.Drift,
			func(d api.Drift) bool { return d.Reason == api.DriftMachineConflict })
		return nil
	})
	return stepError(ctx, "mark the cluster DELETING", "", err)
}

// Forget removes the person's kubeconfig of the cluster and then all that etcd has of it.
func (a *Clusters) Forget(ctx context.Context, ref api.Ref) error {
	const step = "forget the cluster"
	if a.ClusterDir != nil {
		if err := kubefile.RemoveEntries(filepath.Join(a.ClusterDir(ref.Name), "kubeconfig"), ref.Name); err != nil {
			return stepError(ctx, step, "", err)
		}
	}
	if err := a.recordCloudUse(ctx, ref); err != nil {
		return stepError(ctx, step, "", err)
	}
	err := a.Store.DeleteCluster(ctx, ref)
	if err == nil {
		a.recordEventNow(ctx, api.Event{Cluster: ref.Name, UID: ref.UID, Type: api.EventNormal, Reason: "Deleted",
			Message: "deleted, with all its machines"})
	}
	return stepError(ctx, step, "", err)
}

// recordCloudUse has the cloud of a cluster that is about to be forgotten asked for orphans from now on: one that was
// purged may have left some, and no cluster may name its cloud any more.
func (a *Clusters) recordCloudUse(ctx context.Context, ref api.Ref) error {
	c, err := readCluster(ctx, a.Store, ref)
	gone, corrupt := new(store.NotFoundError), new(store.CorruptError)
	if errors.As(err, &gone) || errors.As(err, &corrupt) {
		return nil // a purge goes on whatever etcd has of the machines
	}
	if err != nil || c.CloudName() == "" {
		return err
	}
	return a.Store.RecordCloudUse(ctx, c.CloudName(), a.Now())
}

func machineRefOf(cluster api.Ref, m api.Machine) MachineRef {
	return MachineRef{Cluster: cluster, Index: m.Index, Name: m.Name, Incarnation: m.Incarnation, NodeName: m.NodeName,
		Role: m.Role}
}

// formatCount is a number of things in words.
func formatCount(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
