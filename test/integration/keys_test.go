package integration

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/store"
)

// loseSecrets deletes secrets from etcd.
func (w *world) loseSecrets(ref api.Ref, keys ...string) {
	w.t.Helper()
	for _, key := range keys {
		if err := w.store.DeleteSecret(w.t.Context(), ref, key); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) secret(ref api.Ref, key string) string {
	w.t.Helper()
	value, err := w.store.ReadSecret(w.t.Context(), ref, key)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(value)
}

func TestLostSSHKeyIsReplacedOnAllMachines(t *testing.T) {
	w := newWorld(t)
	ref := w.create("keyless", 3, client.CreateOptions{})
	w.awaitReady(ref)
	before := w.secret(ref, store.SecretSSHKey)
	w.loseSecrets(ref, store.SecretSSHKey)
	// one left by a killed try, and an unrelated one
	for _, app := range []string{"skyctl-authorize-key", "other"} {
		if err := w.cloud.AddPod(ref.UID, "sky-keyless-1", "kube-system/"+app+"-left", app); err != nil {
			t.Fatal(err)
		}
	}
	after := w.repair(ref)
	if left := w.cloud.ListPods(ref.UID, ""); !slices.Equal(left, []string{"kube-system/other-left"}) {
		t.Errorf("pods remain: %v", left)
	}
	w.keep("converge-keys", w.runsOf(ref.Name)[0])
	lastRepair(t, after, api.ActionRestoreKeys, "")
	if w.secret(ref, store.SecretSSHKey) == before {
		t.Error("the lost key was stored again")
	}
	w.healthy(ref, 3)
	w.cloud.LoseMachine("sky-keyless-1")
	lastRepair(t, w.repair(ref), api.ActionReplace, "sky-keyless-1")
	w.healthy(ref, 3)
	if n := w.cloud.CountLaunches("sky-keyless-", ""); n != 4 {
		t.Errorf("%d launches", n)
	}
}

func TestLostTokensAndKubeconfigAreFetchedFromTheHead(t *testing.T) {
	w := newWorld(t)
	ref := w.create("tokenless", 2, client.CreateOptions{})
	w.awaitReady(ref)
	lost := []string{store.SecretAgentToken, store.SecretAgentPassword, store.SecretServerToken, store.SecretKubeconfig}
	before := map[string]string{}
	for _, key := range lost {
		before[key] = w.secret(ref, key)
	}
	w.loseSecrets(ref, lost...)
	after := w.repair(ref)
	lastRepair(t, after, api.ActionRestoreKeys, "")
	for _, key := range lost {
		if got := w.secret(ref, key); got != before[key] {
			t.Errorf("%s has changed", key)
		}
	}
	for _, r := range after.Status.Repairs {
		if r.Action.Kind != api.ActionRestoreKeys {
			t.Errorf("it performed %s: %s", r.Action.Kind, r.Action.Message)
		}
	}
	w.healthy(ref, 2)
}

func TestUnrecoverableKeysAreReportedAndNothingIsChanged(t *testing.T) {
	w := newWorld(t)
	ref := w.create("locked", 2, client.CreateOptions{})
	w.awaitReady(ref)
	w.loseSecrets(ref, store.SecretSSHKey, store.SecretKubeconfig)
	w.cloud.LoseMachine("sky-locked-1")
	after := w.repair(ref)
	if after.Status.Phase != api.PhaseReady || len(w.cloud.ExistingMachines("sky-locked-")) != 1 ||
		w.cloud.CountLaunches("sky-locked-", "") != 2 {
		t.Errorf("%s with machines %+v", after.Status.Phase, w.cloud.ExistingMachines("sky-locked-"))
	}
	if in := after.Status.FindCondition(api.InSync); in == nil || in.Status != api.ConditionFalse ||
		!strings.Contains(in.Message, "KeysMissing") {
		t.Errorf("InSync %+v", in)
	}
	repairs := after.Status.Repairs
	public, err := remote.PublicKeyOf([]byte(w.secret(ref, store.SecretNextSSHKey)))
	if err != nil {
		t.Fatal(err)
	}
	if len(repairs) != 1 || repairs[0].Action.Kind != api.ActionRestoreKeys ||
		!strings.Contains(repairs[0].Error, "append this line to ~/.ssh/authorized_keys") ||
		!strings.Contains(repairs[0].Error, public) {
		t.Fatalf("repairs %+v", repairs)
	}
	if _, err := w.store.ReadSecret(t.Context(), ref, store.SecretSSHKey); err == nil {
		t.Error("a key was created that no machine accepts")
	}
}

func TestKeysThatMachinesKnowAreNeverRecreated(t *testing.T) {
	w := newWorld(t)
	ref := w.create("renewed", 2, client.CreateOptions{})
	c := w.awaitReady(ref)
	gone := c.Status.Machines[1]
	_, err := w.store.UpdateMachine(t.Context(), ref, 1, gone.Incarnation, func(m *api.Machine) error {
		m.SetState(api.MachineGone, "", time.Now().UTC())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{store.SecretSSHKey, store.SecretAgentPassword} {
		w.loseSecrets(ref, key)
		old := activities.MachineRef{Cluster: ref, Index: 1, Name: gone.Name, Incarnation: gone.Incarnation,
			Role: gone.Role}
		_, err := w.acts.Clusters.ReplaceMachine(t.Context(), old)
		var failed *temporal.ApplicationError
		if !errors.As(err, &failed) || failed.Type() != string(api.DriftKeysMissing) ||
			!strings.Contains(err.Error(), key) {
			t.Errorf("without %s: %v", key, err)
		}
		if _, err := w.store.ReadSecret(t.Context(), ref, key); err == nil {
			t.Errorf("%s was recreated", key)
		}
	}
}

func TestClusterWithoutMachineRecordsIsNotInSync(t *testing.T) {
	w := newWorld(t)
	ref := w.create("blank", 2, client.CreateOptions{})
	before := w.awaitReady(ref)
	w.healthy(ref, 2)
	w.forgetKeys("/machines/" + ref.UID + "/")
	r, err := w.ops.SweepClusters(t.Context(), operation.SweepInput{Cluster: ref.Name, Again: true})
	if err != nil || len(r.Drifted) != 1 || !r.Drifted[0].Unseen || r.Drifted[0].Drift[0].Reason != api.DriftInvalid {
		t.Fatalf("%+v, %v", r, err)
	}
	err = w.ops.AwaitInSync(t.Context(), before, r.Drifted[0], patience, func(client.Progress) {})
	var drift *client.DriftError
	if !errors.As(err, &drift) || !strings.Contains(err.Error(), "no machine has the role") {
		t.Errorf("got %v", err)
	}
	c := w.get(ref)
	if in := c.Status.FindCondition(api.InSync); in == nil || in.Status != api.ConditionFalse ||
		in.Reason != string(api.DriftInvalid) {
		t.Errorf("InSync %+v", in)
	}
	if !slices.ContainsFunc(c.Status.Drift, func(d api.Drift) bool { return d.Reason == api.DriftInvalid }) {
		t.Errorf("drift %+v", c.Status.Drift)
	}
	if len(w.cloud.ExistingMachines("sky-blank-")) != 2 {
		t.Error("its machines were changed")
	}
}
