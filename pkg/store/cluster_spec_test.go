package store_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

// scaleTo is a change of the spec.
func scaleTo(n int) func(*api.Cluster) error {
	return func(c *api.Cluster) error { return c.Spec.ScaleTo(n) }
}

func TestSpecChangeCountsGenerations(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	got, err := w.UpdateSpec(t.Context(), r, 1, scaleTo(5))
	must(t, err)
	if got.Metadata.Generation != 2 || got.Spec.MachineCount() != 5 {
		t.Errorf("%+v", got)
	}
	same, err := w.UpdateSpec(t.Context(), r, 2, scaleTo(5))
	must(t, err)
	read, err := w.ReadCluster(t.Context(), "a")
	must(t, err)
	if same.Metadata.Generation != 2 || read.Metadata.Revision != got.Metadata.Revision ||
		read.Metadata.Generation != 2 {
		t.Errorf("asking for the same wrote generation %d, revision %d", read.Metadata.Generation,
			read.Metadata.Revision)
	}
}

func TestSpecChangeConflictsWithChangedSpecsOnly(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	calls := 0
	_, err := w.UpdateSpec(t.Context(), r, 1, func(c *api.Cluster) error {
		if calls++; calls == 1 { // an operation writes the status between read and write
			_, err := w.UpdateCluster(t.Context(), r, func(c *api.Cluster) error {
				c.Status.Endpoint = "e"
				return nil
			})
			must(t, err)
		}
		return c.Spec.ScaleTo(4)
	})
	must(t, err)
	got, err := w.ReadCluster(t.Context(), "a")
	must(t, err)
	if calls != 2 || got.Status.Endpoint != "e" || got.Spec.MachineCount() != 4 {
		t.Errorf("%d calls, %+v", calls, got)
	}
	conflict := wantErr[*store.SpecConflictError](t, second(w.UpdateSpec(t.Context(), r, 1, scaleTo(9))))
	if conflict.Seen != 1 || conflict.Current != 2 || !strings.Contains(conflict.Error(), "was changed meanwhile") {
		t.Errorf("%v", conflict)
	}
}

func TestOneOfTwoPeopleWhoScaleWins(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	var wg sync.WaitGroup
	var mu sync.Mutex
	var won []int
	for n := range 10 {
		wg.Go(func() {
			_, err := w.UpdateSpec(t.Context(), r, 1, scaleTo(10+n))
			var conflict *store.SpecConflictError
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won = append(won, 10+n)
			case !errors.As(err, &conflict):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got, err := w.ReadCluster(t.Context(), "a")
	must(t, err)
	if len(won) != 1 || got.Spec.MachineCount() != won[0] || got.Metadata.Generation != 2 {
		t.Errorf("%v won; %d machines at generation %d", won, got.Spec.MachineCount(), got.Metadata.Generation)
	}
}

func TestMachineIsMarkedInTheStepOfTheSpec(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	must(t, w.PutMachines(t.Context(), r, machines("a", 3, "aaaaa")))
	calls := 0
	_, err := w.UpdateSpec(t.Context(), r, 1, func(c *api.Cluster) error {
		if calls++; calls == 1 { // an operation writes the record between read and write
			must(t, second(w.UpdateMachine(t.Context(), r, 2, "aaaaa", func(m *api.Machine) error {
				m.Address = "10.0.0.2"
				return nil
			})))
		}
		return c.DeleteMachine("sky-a-2")
	})
	must(t, err)
	got, err := w.ReadCluster(t.Context(), "a")
	must(t, err)
	if m := got.Status.Machines[2]; m.Leaving != api.LeaveDeleted || m.Address != "10.0.0.2" ||
		got.Spec.MachineCount() != 2 || got.Status.Machines[1].Leaving != "" {
		t.Errorf("%+v; %+v", m, got.Spec)
	}
	// Deleted again, it changes nothing; a replacement changes no spec.
	again, err := w.UpdateSpec(t.Context(), r, 2, func(c *api.Cluster) error { return c.DeleteMachine("sky-a-2") })
	must(t, err)
	replaced, err := w.UpdateSpec(t.Context(), r, 2, func(c *api.Cluster) error { return c.ReplaceMachine("sky-a-1") })
	must(t, err)
	if again.Metadata.Generation != 2 || replaced.Metadata.Generation != 2 {
		t.Errorf("generations %d, %d", again.Metadata.Generation, replaced.Metadata.Generation)
	}
	if m, err := w.ListMachines(t.Context(), "u1"); err != nil || !m[1].ReplaceAsked {
		t.Errorf("%v, %+v", err, m)
	}
}

func TestSpecChangeOnlyMarksMachines(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	must(t, w.PutMachines(t.Context(), r, machines("a", 3, "aaaaa")))
	must(t, second(w.UpdateSpec(t.Context(), r, 1, func(c *api.Cluster) error {
		c.Status.Machines[1].State, c.Status.Machines[1].ReplaceAsked = api.MachineGone, true
		return c.DeleteMachine("sky-a-2")
	})))
	got, err := w.ReadCluster(t.Context(), "a")
	must(t, err)
	if m := got.Status.Machines[1]; m.State != api.MachineReserved || !m.ReplaceAsked {
		t.Errorf("%+v", m)
	}
	for name, change := range map[string]func(*api.Cluster) error{
		"a machine that leaves stays": func(c *api.Cluster) error { c.Status.Machines[2].Leaving = ""; return nil },
		"a record is dropped": func(c *api.Cluster) error {
			c.Status.Machines = c.Status.Machines[1:]
			return nil
		},
	} {
		if _, err := w.UpdateSpec(t.Context(), r, 2, change); err == nil {
			t.Errorf("%s", name)
		}
	}
}

// TestSpecChangeRecordsWhatMachinesOfOlderVersionsHave: after the change, their pool would say something else.
func TestSpecChangeRecordsWhatMachinesOfOlderVersionsHave(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	all := machines("a", 2, "aaaaa")
	for i := range all {
		all[i].Spec, all[i].Node = nil, nil
	}
	all[1].Role = api.RoleWorker
	must(t, w.PutMachines(t.Context(), r, all))
	label := func(value string) func(*api.Cluster) error {
		return func(c *api.Cluster) error {
			spec := c.Spec.Clone()
			spec.FindPool(api.DefaultPool).Labels = map[string]string{value: value}
			return c.ChangeTo(spec, nil, time.Unix(2, 0))
		}
	}
	must(t, second(w.UpdateSpec(t.Context(), r, 1, label("old"))))
	got, err := w.UpdateSpec(t.Context(), r, 2, label("new"))
	must(t, err)
	read, err := w.ReadCluster(t.Context(), "a")
	must(t, err)
	for _, c := range []*api.Cluster{got, read} {
		m := c.Status.Machines[1]
		if m.Node == nil || len(m.Node.Labels) == 0 || m.Node.Labels["new"] != "" ||
			c.GivenNodeSettings(m).DescribeChange(c.NodeSettings(m)) == "" {
			t.Errorf("%+v", m.Node)
		}
	}
}

func TestDeletedPoolMarksManyMachinesInOneStep(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	must(t, w.PutMachines(t.Context(), r, machines("a", 400, "aaaaa")))
	must(t, second(w.UpdateSpec(t.Context(), r, 1, func(c *api.Cluster) error { return c.DeletePool("default") })))
	got, err := w.ReadCluster(t.Context(), "a")
	must(t, err)
	for _, m := range got.Status.Machines[1:] {
		if m.Leaving != api.LeavePoolDeleted {
			t.Fatalf("%+v", m)
		}
	}
	if len(got.Spec.Pools) != 0 || got.Status.Machines[0].Leaving != "" {
		t.Errorf("%+v", got.Spec)
	}
}

func TestPhasesInWhichTheSpecCanChange(t *testing.T) {
	for name, c := range map[string]struct {
		phases []api.Phase
		allows bool
	}{
		"before its create": {nil, true}, // INIT
		"in its create":     {[]api.Phase{api.PhaseProvisioning}, true},
		"READY":             {[]api.Phase{api.PhaseProvisioning, api.PhaseReady}, true},
		"a failed repair":   {[]api.Phase{api.PhaseReady, api.PhaseError}, true},
		"a failed create":   {[]api.Phase{api.PhaseProvisioning, api.PhaseError}, false},
		"being deleted":     {[]api.Phase{api.PhaseReady, api.PhaseDeleting}, false},
	} {
		w := newWorld(t)
		r := w.created(t, "a", "u1")
		must(t, second(w.UpdateCluster(t.Context(), r, func(cl *api.Cluster) error {
			for _, p := range c.phases {
				cl.Status.SetPhase(p, "", cl.Metadata.CreatedAt)
			}
			return nil
		})))
		_, err := w.UpdateSpec(t.Context(), r, 1, scaleTo(4))
		if c.allows {
			must(t, err)
		} else if refused := wantErr[*store.UnchangeableError](t, err); !strings.Contains(
			refused.Error(), "cannot change") {
			t.Errorf("%s: %v", name, refused)
		}
	}
}

// lossyKV loses the answer to the next write, or does something instead of it.
type lossyKV struct {
	clientv3.KV
	lose    bool
	instead func()
}

func (k *lossyKV) Txn(ctx context.Context) clientv3.Txn { return &lossyTxn{Txn: k.KV.Txn(ctx), kv: k} }

type lossyTxn struct {
	clientv3.Txn
	kv *lossyKV
}

func (x *lossyTxn) If(when ...clientv3.Cmp) clientv3.Txn {
	if x.Txn = x.Txn.If(when...); len(when) == 0 {
		return x.Txn // a read
	}
	return x
}
func (x *lossyTxn) Then(ops ...clientv3.Op) clientv3.Txn { x.Txn = x.Txn.Then(ops...); return x }
func (x *lossyTxn) Else(ops ...clientv3.Op) clientv3.Txn { x.Txn = x.Txn.Else(ops...); return x }
func (x *lossyTxn) Commit() (*clientv3.TxnResponse, error) {
	broken := status.Error(codes.Unavailable, "the connection broke")
	if instead := x.kv.instead; instead != nil {
		x.kv.instead = nil
		instead()
		return nil, broken
	}
	resp, err := x.Txn.Commit()
	if err == nil && x.kv.lose {
		x.kv.lose = false
		return nil, broken
	}
	return resp, err
}

func TestSpecChangeWhoseAnswerIsLostIsNoFailure(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	must(t, w.PutMachines(t.Context(), r, machines("a", 3, "aaaaa")))
	raw := plain(t)
	kv := &lossyKV{KV: raw.KV}
	raw.KV = kv
	s := store.New(raw, w.prefix, nil)
	kv.lose = true
	got, err := s.UpdateSpec(t.Context(), r, 1, func(c *api.Cluster) error { return c.DeleteMachine("sky-a-2") })
	must(t, err)
	if kv.lose || got.Metadata.Generation != 2 || got.Spec.MachineCount() != 2 {
		t.Errorf("lost %v, %+v", !kv.lose, got)
	}
	// A write that did not arrive, while another person has written, is none.
	kv.instead = func() { must(t, second(w.UpdateSpec(t.Context(), r, 2, scaleTo(9)))) }
	wantErr[*store.SpecConflictError](t, second(s.UpdateSpec(t.Context(), r, 2, scaleTo(7))))
}

func TestSpecChangeThatAnotherOneFollowsIsNotReportedAsUnwritten(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	raw := plain(t)
	kv := &lossyKV{KV: raw.KV}
	raw.KV = kv
	kv.instead = func() { // the write arrives, its answer does not
		must(t, second(w.UpdateSpec(t.Context(), r, 1, scaleTo(7))))
		must(t, second(w.UpdateSpec(t.Context(), r, 2, scaleTo(9))))
	}
	_, err := store.New(raw, w.prefix, nil).UpdateSpec(t.Context(), r, 1, scaleTo(7))
	if err == nil || errors.As(err, new(*store.SpecConflictError)) ||
		!strings.Contains(err.Error(), "unknown whether the change is recorded") {
		t.Errorf("got %v", err)
	}
}
