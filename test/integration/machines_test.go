package integration

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/machines"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/simcloud"
)

// submit launches machines and waits for them.
func (w *world) submit(all ...activities.MachineRef) {
	w.t.Helper()
	for _, m := range all {
		launch, err := w.acts.Machines.Submit(w.t.Context(), m)
		if err == nil {
			err = w.acts.Machines.Await(w.t.Context(), machines.AwaitInput{Machine: m, Launch: launch})
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) terminate(ref api.Ref, name string) error {
	return w.acts.Machines.Terminate(w.t.Context(), machines.TerminateInput{Cluster: ref, Name: name})
}

func TestRepeatedLaunchCreatesOneMachine(t *testing.T) {
	w := newActivities(t)
	ref := w.store1("once", 1)
	m := w.reserve(ref, here)[0]
	w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpSubmitted, Times: 1, Err: simcloud.NewRefusal(cloud.Transient)})
	if _, err := w.acts.Machines.Submit(t.Context(), m); err == nil {
		t.Fatal("the first answer was not lost")
	}
	w.submit(m, m)
	if n := w.cloud.CountLaunches("sky-once-", ""); n != 1 {
		t.Errorf("%d machines were created", n)
	}
	r, made := w.get(ref).Status.Machines[0], w.cloud.ExistingMachines("sky-once-")[0]
	if r.State != api.MachineUp || r.LaunchRef != made.ID || r.CloudID != made.ID || r.Address != made.Address ||
		r.HostKey != made.HostKey || r.LaunchedAt.IsZero() {
		t.Errorf("recorded %+v\ncreated %+v", r, made)
	}
	want := cloud.Owner{Installation: made.Owner.Installation, Cluster: ref.Name, ClusterUID: ref.UID}
	if made.Owner != want || made.Incarnation != m.Incarnation || want.Installation == "" {
		t.Errorf("the machine has the owner %+v, incarnation %s", made.Owner, made.Incarnation)
	}
}

func TestLaunchAfterItsCleanUpIsTerminated(t *testing.T) {
	for name, cleanUp := range map[string]func(w *world, ref api.Ref) error{
		"ended": func(w *world, ref api.Ref) error {
			m := w.get(ref).Status.Machines[0]
			_, err := w.acts.Machines.Store.UpdateMachine(t.Context(), ref, 0, m.Incarnation,
				func(r *api.Machine) error {
					r.State = api.MachineGone
					return nil
				})
			return err
		},
		"forgotten": func(w *world, ref api.Ref) error { return w.acts.Clusters.Forget(t.Context(), ref) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newActivities(t)
			ref := w.store1("late-"+name, 1)
			m := w.reserve(ref, here)[0]
			w.cloud.SetListingLag(200 * time.Millisecond)
			w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpTerminate, Times: 1,
				Err: simcloud.NewRefusal(cloud.Transient)})
			w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpSubmitted, Times: 1,
				Do: func(context.Context) error { return cleanUp(w, ref) }})
			if _, err := w.acts.Machines.Submit(t.Context(), m); err == nil {
				t.Error("the launch is reported as a success")
			}
			if left := w.cloud.ExistingMachines(m.Name); len(left) != 0 {
				t.Errorf("%d machines keep costing money", len(left))
			}
		})
	}
}

func TestCancelledWaitCancelsTheLaunch(t *testing.T) {
	w := newActivities(t)
	m := w.reserve(w.store1("hanging", 1), here)[0]
	launch, err := w.acts.Machines.Submit(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	told := w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpCancel})
	w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpAwait, Do: func(context.Context) error {
		cancel()
		return nil
	}, Hang: true})
	if err := w.acts.Machines.Await(ctx, machines.AwaitInput{Machine: m, Launch: launch}); !temporal.IsCanceledError(
		err) {
		t.Errorf("got %v", err)
	}
	if n := w.cloud.CountFaultHits(told); n != 1 {
		t.Errorf("the cloud got %d cancellations", n)
	}
}

func TestBootTimeoutQuotesTheCloud(t *testing.T) {
	w := newActivities(t)
	m := w.reserve(w.store1("slow-boot", 1), here)[0]
	launch, err := w.acts.Machines.Submit(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	w.acts.Machines.Deadlines.Boot = 50 * time.Millisecond
	w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpAwait, Do: func(ctx context.Context) error {
		<-ctx.Done()
		return &cloud.Error{Kind: cloud.Transient, Message: "sshd never answered"}
	}})
	err = w.acts.Machines.Await(t.Context(), machines.AwaitInput{Machine: m, Launch: launch})
	if reason, final := reasonOf(err); reason != "Deadline" || !final ||
		!strings.Contains(err.Error(), "sshd never answered") {
		t.Errorf("got %v", err)
	}
}

func TestMachineIsGoneOnlyOnceTheListIsEmpty(t *testing.T) {
	w := newActivities(t)
	ref := w.store1("lagging", 1)
	m := w.reserve(ref, here)[0]
	w.submit(m)
	w.cloud.SetListingLag(500 * time.Millisecond)
	owner := w.cloud.ExistingMachines("sky-lagging-")[0].Owner
	eventually.Holds(t, "the list has the machine", func() bool {
		there, err := w.cloud.ListMachines(t.Context(), owner)
		return err == nil && len(there) == 1
	})
	ended := make(chan error, 1)
	go func() { ended <- w.terminate(ref, m.Name) }()
	for {
		isGone := w.state(ref, 0) == api.MachineGone // read before the list, so that the order of the two is known
		left, err := w.cloud.ListMachines(t.Context(), owner)
		if err != nil {
			t.Fatal(err)
		}
		if isGone && len(left) > 0 {
			t.Fatal("the machine is Gone in etcd while the cloud lists it")
		}
		if isGone {
			break
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := w.terminate(ref, m.Name); err != nil {
		t.Errorf("the second time: %v", err)
	}
}

func TestFailedTerminationMarksNothing(t *testing.T) {
	w := newActivities(t)
	ref := w.store1("stays", 1)
	m := w.reserve(ref, here)[0]
	w.submit(m)
	w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpTerminate, Times: 1, Err: simcloud.NewRefusal(cloud.Transient)})
	if reason, final := reasonOf(w.terminate(ref, m.Name)); reason != "Transient" || final {
		t.Errorf("%q, final %t", reason, final)
	}
	if s := w.state(ref, 0); s != api.MachineTerminating {
		t.Errorf("the machine is %s", s)
	}
	if reason, final := reasonOf(w.acts.Machines.Release(t.Context(), ref)); reason != activities.ReasonLeft || !final {
		t.Errorf("release: %q, final %t", reason, final)
	}
	if w.cloud.CountReleases(ref.UID) != 0 {
		t.Error("the resources of an existing machine were released")
	}
}

func TestMachineOfAnotherInstallationIsNotChanged(t *testing.T) {
	w := newActivities(t)
	ref := w.store1("taken-by-others", 1)
	m := w.reserve(ref, here)[0]
	w.cloud.AddForeignMachine(cloud.Machine{Name: m.Name,
		Owner: cloud.Owner{Installation: "another", Cluster: ref.Name, ClusterUID: "theirs"}})
	_, err := w.acts.Machines.Submit(t.Context(), m)
	if reason, final := reasonOf(err); reason != string(cloud.Conflict) || !final {
		t.Errorf("submit: %v", err)
	}
	if all, err := w.acts.Machines.Existing(t.Context(), ref); err != nil || len(all) != 1 || all[0].Name != m.Name {
		t.Errorf("existing: %v, %v", all, err)
	}
	if err := w.terminate(ref, m.Name); err != nil {
		t.Errorf("terminate: %v", err)
	}
	if s := w.state(ref, 0); s != api.MachineGone {
		t.Errorf("our machine, which was never created, is %s", s)
	}
	if left := w.cloud.ExistingMachines(m.Name); len(left) != 1 {
		t.Error("the other installation's machine was changed")
	}
}

func TestSurveyMarksVanishedMachines(t *testing.T) {
	w := newActivities(t)
	ref := w.store1("survey", 3)
	all := w.reserve(ref, here)
	w.submit(all[0], all[1])
	w.cloud.LoseMachine(all[1].Name)
	s, err := w.acts.Machines.Survey(t.Context(), ref)
	if err != nil || !s.Head {
		t.Errorf("%+v, %v", s, err)
	}
	want := []api.MachineState{api.MachineUp, api.MachineGone, api.MachineGone}
	for i, state := range want {
		if got := w.state(ref, i); got != state {
			t.Errorf("machine %d is %s, want %s", i, got, state)
		}
	}
	w.mark(all[0], api.MachineTerminating)
	if s, err := w.acts.Machines.Survey(t.Context(), ref); err != nil || s.Head {
		t.Errorf("a head that is being terminated would be reused: %+v, %v", s, err)
	}
}

func TestForgottenClusterLeavesNothing(t *testing.T) {
	w := newActivities(t)
	ref, other := w.store1("forgettable", 2), w.store1("forgettable-2", 1)
	w.reserve(ref, here)
	w.reserve(other, here)
	for _, r := range []api.Ref{ref, other} {
		if err := os.MkdirAll(filepath.Join(w.home, r.Name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(w.keysWith(ref)); n != 1+2+4 {
		t.Errorf("%d keys before: the test reads the wrong prefix", n)
	}
	for range 2 {
		if err := w.acts.Clusters.Forget(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
	}
	if left := w.keysWith(ref); len(left) > 0 {
		t.Errorf("keys remain in etcd: %q", left)
	}
	if _, err := os.Stat(filepath.Join(w.home, ref.Name)); !os.IsNotExist(err) {
		t.Errorf("the directory still exists: %v", err)
	}
	if n := len(w.keysWith(other)); n != 1+1+3 {
		t.Errorf("%d keys of another cluster remain", n)
	}
	if _, err := os.Stat(filepath.Join(w.home, other.Name)); err != nil {
		t.Error(err)
	}
}

// keysWith returns a cluster's keys in etcd, except its events, which are kept for some days.
func (w *world) keysWith(ref api.Ref) []string {
	w.t.Helper()
	var found []string
	for _, kv := range w.dump() {
		k := string(kv.key)
		if strings.Contains(k, "/events/") {
			continue
		}
		if strings.Contains(k, "/"+ref.UID+"/") || strings.HasSuffix(k, "/clusters/"+ref.Name) {
			found = append(found, k)
		}
	}
	return found
}

type keyValue struct{ key, value []byte }

// etcd returns a plain etcd client.
func (w *world) etcd() *clientv3.Client {
	w.t.Helper()
	tls, err := w.cfg.Etcd.TLS.ClientConfig()
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := clientv3.New(clientv3.Config{Endpoints: w.cfg.Etcd.Endpoints, TLS: tls, DialTimeout: patience})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// forgetKeys deletes all keys under a part of the test's prefix.
func (w *world) forgetKeys(under string) {
	w.t.Helper()
	if gone, err := w.etcd().Delete(w.t.Context(), w.cfg.Etcd.Prefix+under, clientv3.WithPrefix()); err != nil ||
		gone.Deleted == 0 {
		w.t.Fatalf("no key under %s was deleted: %v", under, err)
	}
}

// damage truncates the value of a key.
func (w *world) damage(key string, keep func(length int) int) {
	w.t.Helper()
	c := w.etcd()
	key = w.cfg.Etcd.Prefix + key
	got, err := c.Get(w.t.Context(), key)
	if err != nil || len(got.Kvs) != 1 {
		w.t.Fatalf("%s: %v, %v", key, got, err)
	}
	value := got.Kvs[0].Value
	if _, err := c.Put(w.t.Context(), key, string(value[:keep(len(value))])); err != nil {
		w.t.Fatal(err)
	}
}

// dump returns everything in etcd.
func (w *world) dump() []keyValue {
	w.t.Helper()
	got, err := w.etcd().Get(w.t.Context(), w.cfg.Etcd.Prefix, clientv3.WithPrefix())
	if err != nil {
		w.t.Fatal(err)
	}
	all := make([]keyValue, len(got.Kvs))
	for i, kv := range got.Kvs {
		all[i] = keyValue{kv.Key, kv.Value}
	}
	return all
}
