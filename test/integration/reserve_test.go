package integration

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/machines"
	"github.com/sky-shift/skyctl/activities/record"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/simcloud"
)

// newActivities creates a world whose activities the test calls directly.
func newActivities(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	return newIdleWorld(t, shared)
}

func (w *world) reserve(ref api.Ref, placement api.Placement) []activities.MachineRef {
	w.t.Helper()
	got, err := w.acts.Clusters.Reserve(w.t.Context(), record.ReserveInput{Cluster: ref, Placement: placement})
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

// secretsOf returns the existing secrets of a cluster, by key.
func (w *world) secretsOf(ref api.Ref) map[string]string {
	w.t.Helper()
	keys := []string{store.SecretSSHKey, store.SecretAgentPassword, store.SecretAgentToken, store.SecretServerToken,
		store.SecretKubeconfig}
	for _, m := range w.get(ref).Status.Machines {
		keys = append(keys, store.SecretHostKey(m.Incarnation))
	}
	found := map[string]string{}
	for _, key := range keys {
		var missing *store.NotFoundError
		value, err := w.store.ReadSecret(w.t.Context(), ref, key)
		if err != nil && !errors.As(err, &missing) {
			w.t.Fatal(err)
		}
		if err == nil {
			found[key] = string(value)
		}
	}
	return found
}

// reasonOf returns why an activity failed, and whether the error is final.
func reasonOf(err error) (reason string, final bool) {
	var applied *temporal.ApplicationError
	if !errors.As(err, &applied) {
		return "", false
	}
	return applied.Type(), applied.NonRetryable()
}

func TestOverlappingReservationsGetTheSameMachinesAndKeys(t *testing.T) {
	w := newActivities(t)
	ref := w.store1("overlap", 5)
	all := make([][]activities.MachineRef, 6)
	var together sync.WaitGroup
	for i := range all {
		together.Go(func() {
			var err error
			all[i], err = w.acts.Clusters.Reserve(t.Context(), record.ReserveInput{Cluster: ref, Placement: here})
			if err != nil {
				t.Error(err)
			}
		})
	}
	together.Wait()
	keys := w.secretsOf(ref)
	if len(keys) != 2+5 {
		t.Errorf("%d secrets, want the login key, the agents' password and one host key per machine", len(keys))
	}
	all = append(all, w.reserve(ref, here))
	for _, got := range all[1:] {
		if !slices.Equal(got, all[0]) {
			t.Errorf("one call got %v, another %v", all[0], got)
		}
	}
	for key, value := range w.secretsOf(ref) {
		if value != keys[key] {
			t.Errorf("secret %s changed", key)
		}
	}
	c := w.get(ref)
	if len(c.Status.Machines) != 5 || c.Status.Placement == nil || *c.Status.Placement != here {
		t.Errorf("in etcd: %+v", c.Status)
	}
}

func TestOnlyGoneMachinesGetANewIncarnation(t *testing.T) {
	w := newActivities(t)
	ref := w.store1("someplaces", 3)
	before := w.reserve(ref, here)
	w.mark(before[0], api.MachineReady)
	w.mark(before[1], api.MachineGone)
	w.mark(before[2], api.MachineUp)
	after := w.reserve(ref, here)
	for i, m := range after {
		if isNew := m.Incarnation != before[i].Incarnation; isNew != (i == 1) {
			t.Errorf("%s: a new incarnation: %t", m.Name, isNew)
		}
	}
	if again := w.reserve(ref, here); !slices.Equal(again, after) {
		t.Errorf("the second time: %v, want %v", again, after)
	}
}

func TestMachineThatMayExistElsewhereIsNotForgotten(t *testing.T) {
	w := newActivities(t)
	ref := w.store1("maybe-elsewhere", 2)
	before := w.reserve(ref, here)
	w.mark(before[1], api.MachineLaunching)
	_, err := w.acts.Clusters.Reserve(t.Context(), record.ReserveInput{Cluster: ref, Placement: there})
	if reason, final := reasonOf(err); reason != "Conflict" || !final {
		t.Errorf("got %v", err)
	}
	if m := w.get(ref).Status.Machines[1]; m.Incarnation != before[1].Incarnation || m.Placement != here {
		t.Errorf("the record of the machine was overwritten: %+v", m)
	}
	w.mark(before[1], api.MachineGone)
	for i, m := range w.reserve(ref, there) {
		if m.Incarnation == before[i].Incarnation {
			t.Errorf("%s keeps its incarnation under another placement", m.Name)
		}
	}
}

// mark sets the state of a machine's record.
func (w *world) mark(m activities.MachineRef, s api.MachineState) {
	w.t.Helper()
	_, err := w.store.UpdateMachine(w.t.Context(), m.Cluster, m.Index, m.Incarnation, func(r *api.Machine) error {
		r.SetState(s, "", time.Now().UTC())
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) state(ref api.Ref, index int) api.MachineState {
	w.t.Helper()
	return w.get(ref).Status.Machines[index].State
}

func TestDeletingClusterIsNotProvisioned(t *testing.T) {
	w := newActivities(t)
	ref := w.store1("leaving", 1)
	if err := w.acts.Clusters.MarkDeleting(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	_, err := w.acts.Clusters.Begin(t.Context(), operation.ProvisionInput{Cluster: ref})
	if reason, final := reasonOf(err); reason != activities.ReasonDeleting || !final {
		t.Errorf("got %v", err)
	}
	if c := w.get(ref); c.Status.Phase != api.PhaseDeleting {
		t.Errorf("phase %s", c.Status.Phase)
	}
}

func TestReleaseOfTheSpecOverridesTheWorkers(t *testing.T) {
	w := newActivities(t)
	const own = "v1.34.1+rke2r1"
	// by the release that each cluster gets
	refs := map[string]api.Ref{own: w.store1("own", 1), simcloud.Version: w.store1("before", 1)}
	if _, err := w.store.UpdateCluster(t.Context(), refs[own], func(c *api.Cluster) error {
		c.Spec.KubernetesVersion = own
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for want, ref := range refs {
		if _, err := w.acts.Clusters.Begin(t.Context(), operation.ProvisionInput{Cluster: ref}); err != nil {
			t.Fatal(err)
		}
		if c := w.get(ref); c.Status.Artifacts == nil || c.Status.Artifacts.Version != want ||
			c.Status.Versions.RKE2 != want {
			t.Errorf("cluster %s: %+v, want %s", ref.Name, c.Status.Artifacts, want)
		}
	}
}

func TestEveryStepOnAnEarlierClusterReportsItGone(t *testing.T) {
	w := newActivities(t)
	now := w.store1("reborn", 1)
	old := api.Ref{Name: now.Name, UID: "uid-of-before"}
	m := activities.MachineRef{Cluster: old, Name: "sky-reborn-0", Incarnation: "bcdfg", Role: api.RoleHead}
	a, ctx := w.acts, t.Context()
	for name, step := range map[string]func() error{
		"begin":  func() error { _, err := a.Clusters.Begin(ctx, operation.ProvisionInput{Cluster: old}); return err },
		"wanted": func() error { _, err := a.Clusters.Wanted(ctx, old); return err },
		"reserve": func() error {
			_, err := a.Clusters.Reserve(ctx, record.ReserveInput{Cluster: old, Placement: here})
			return err
		},
		"submit":   func() error { _, err := a.Machines.Submit(ctx, m); return err },
		"await":    func() error { return a.Machines.Await(ctx, machines.AwaitInput{Machine: m}) },
		"survey":   func() error { _, err := a.Machines.Survey(ctx, old); return err },
		"existing": func() error { _, err := a.Machines.Existing(ctx, old); return err },
		"terminate": func() error {
			return a.Machines.Terminate(ctx, machines.TerminateInput{Cluster: old, Name: m.Name})
		},
		"release":  func() error { return a.Machines.Release(ctx, old) },
		"prepare":  func() error { return a.Nodes.Prepare(ctx, m) },
		"head":     func() error { return a.Nodes.StartHead(ctx, m) },
		"join":     func() error { return a.Nodes.Join(ctx, m) },
		"node":     func() error { return a.Nodes.AwaitNode(ctx, m) },
		"ready":    func() error { _, err := a.Clusters.MarkReady(ctx, old); return err },
		"deleting": func() error { return a.Clusters.MarkDeleting(ctx, old) },
		"failed":   func() error { return a.Clusters.MarkFailed(ctx, record.MarkFailedInput{Cluster: old}) },
	} {
		if reason, final := reasonOf(step()); reason != activities.ReasonGone || !final {
			t.Errorf("%s: %q, final %t", name, reason, final)
		}
	}
	if c := w.get(now); c.Status.Phase != api.PhaseInit || len(c.Status.Machines) != 0 {
		t.Errorf("the current cluster was changed: %+v", c.Status)
	}
}

func TestUnresponsiveEtcdIsRetried(t *testing.T) {
	w := newActivities(t)
	ref := w.store1("slow-etcd", 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	_, err := w.acts.Clusters.Wanted(ctx, ref)
	if reason, final := reasonOf(err); reason != "EtcdUnavailable" || final {
		t.Errorf("got %v: %q, final %t", err, reason, final)
	}
}
