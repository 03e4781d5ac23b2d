package store_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/etcdserver"
	"github.com/sky-shift/skyctl/test/freeport"
)

// until reads events until want returns true.
func until(t *testing.T, events <-chan store.ClusterChange, what string,
	want func(store.ClusterChange) bool) store.ClusterChange {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	var last string
	for {
		select {
		case e, ok := <-events:
			if !ok {
				t.Fatalf("the watch ended before %s; last was %s", what, last)
			}
			if want(e) {
				return e
			}
			last = fmt.Sprintf("%s %+v", e.Type, *e.Cluster)
		case <-deadline:
			t.Fatalf("no %s within 2 minutes; last was %s", what, last)
		}
	}
}

func is(kind store.ClusterChangeType, uid string) func(store.ClusterChange) bool {
	return func(e store.ClusterChange) bool { return e.Type == kind && e.Cluster.Metadata.UID == uid }
}

func phase(p api.Phase) func(*api.Cluster) error {
	return func(c *api.Cluster) error { c.Status.SetPhase(p, "", time.Now()); return nil }
}

func TestWatchOneSendsStateMachinesAndDeletion(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	other := w.created(t, "b", "u2")
	must(t, w.PutMachines(t.Context(), r, machines("a", 2, "aaaaa")))
	events, err := w.WatchClusters(t.Context(), "a")
	must(t, err)
	mine := func(want func(store.ClusterChange) bool) func(store.ClusterChange) bool {
		return func(e store.ClusterChange) bool {
			if e.Cluster.Metadata.Name != "a" {
				t.Errorf("got a change of %s", e.Cluster.Metadata.Name)
			}
			return want(e)
		}
	}
	first := <-events
	if first.Type != store.ClusterUpdated || len(first.Cluster.Status.Machines) != 2 ||
		first.Cluster.Metadata.Revision == 0 {
		t.Errorf("first event: %+v", first)
	}
	must(t, w.PutMachines(t.Context(), other, machines("b", 2, "bbbbb")))
	_, err = w.UpdateMachine(t.Context(), r, 1, "aaaaa", func(m *api.Machine) error { m.Step = "joining"; return nil })
	must(t, err)
	until(t, events, "the machine's step", mine(func(e store.ClusterChange) bool {
		return e.Cluster.Status.Machines[1].Step == "joining"
	}))
	_, err = w.UpdateCluster(t.Context(), r, phase(api.PhaseReady))
	must(t, err)
	until(t, events, "READY", mine(func(e store.ClusterChange) bool {
		return e.Cluster.Status.Phase == api.PhaseReady && len(e.Cluster.Status.Machines) == 2
	}))
	must(t, w.DeleteCluster(t.Context(), r))
	end := until(t, events, "the end", mine(is(store.ClusterDeleted, "u1")))
	if end.Cluster.Status.Phase != api.PhaseReady || len(end.Cluster.Status.Machines) != 2 {
		t.Errorf("the deletion does not have the last state: %+v", end.Cluster)
	}
	w.created(t, "a", "u3")
	again := until(t, events, "the successor", mine(is(store.ClusterUpdated, "u3")))
	if len(again.Cluster.Status.Machines) != 0 {
		t.Errorf("the new cluster has the old one's machines: %+v", again.Cluster.Status.Machines)
	}
}

func TestWatchOfOneClusterReceivesOnlyItsOwnChanges(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	other := w.created(t, "b", "u2")
	must(t, w.PutMachines(t.Context(), r, machines("a", 2, "aaaaa")))
	must(t, w.PutMachines(t.Context(), other, machines("b", 300, "bbbbb")))
	c, n := etcdserver.NewCountedClient(t, shared)
	events, err := store.New(c, w.prefix, nil).WatchClusters(t.Context(), "a")
	must(t, err)
	<-events
	must(t, w.PutMachines(t.Context(), other, machines("b", 300, "ccccc")[:100]))
	for i := range 100 {
		_, err = w.UpdateMachine(t.Context(), other, 100+i, "bbbbb",
			func(m *api.Machine) error { m.Step = "joining"; return nil })
		must(t, err)
	}
	_, err = w.UpdateCluster(t.Context(), r, phase(api.PhaseReady))
	must(t, err)
	until(t, events, "READY", func(e store.ClusterChange) bool { return e.Cluster.Status.Phase == api.PhaseReady })
	if n.Received() > 4000 {
		t.Errorf("the watch received %d bytes", n.Received())
	}
}

func TestChangeOfClusterComesWithTheMachinesOfThatMoment(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	must(t, w.PutMachines(t.Context(), r, machines("a", 40, "aaaaa")))
	for range 20 {
		_, err := w.UpdateCluster(t.Context(), r, phase(api.PhaseProvisioning))
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		events, err := w.WatchClusters(ctx, "a")
		must(t, err)
		<-events
		setStates := func(state api.MachineState) {
			for i := range 40 {
				_, err := w.UpdateMachine(t.Context(), r, i, "aaaaa",
					func(m *api.Machine) error { m.State = state; return nil })
				must(t, err)
			}
		}
		setStates(api.MachineReady)
		_, err = w.UpdateCluster(t.Context(), r, phase(api.PhaseReady))
		must(t, err)
		ready := until(t, events, "READY",
			func(e store.ClusterChange) bool { return e.Cluster.Status.Phase == api.PhaseReady })
		for _, m := range ready.Cluster.Status.Machines {
			if m.State != api.MachineReady {
				t.Fatalf("the cluster is READY with machine %s %s", m.Name, m.State)
			}
		}
		cancel()
		setStates(api.MachineReserved)
	}
}

func TestWatchNoticesRemovedMachines(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	must(t, w.PutMachines(t.Context(), r, machines("a", 3, "aaaaa")))
	events, err := w.WatchClusters(t.Context(), "a")
	must(t, err)
	<-events
	_, err = w.etcd.Delete(t.Context(), w.prefix+"/machines/u1/0001")
	must(t, err)
	_, err = w.UpdateCluster(t.Context(), r, phase(api.PhaseReady))
	must(t, err)
	ready := until(t, events, "READY",
		func(e store.ClusterChange) bool { return e.Cluster.Status.Phase == api.PhaseReady })
	if got := machineIndexes(ready.Cluster); !slices.Equal(got, []int{0, 2}) {
		t.Errorf("machines %v", got)
	}
}

func TestWatchAllSendsClustersAndMachines(t *testing.T) {
	w := newWorld(t)
	w.created(t, "a", "u1")
	w.created(t, "b", "u2")
	ctx, cancel := context.WithCancel(t.Context())
	events, err := w.WatchClusters(ctx, "")
	must(t, err)
	if a, b := <-events, <-events; a.Cluster.Metadata.Name != "a" || b.Cluster.Metadata.Name != "b" {
		t.Errorf("first changes: %s, %s", a.Cluster.Metadata.Name, b.Cluster.Metadata.Name)
	}
	c := w.created(t, "c", "u3")
	until(t, events, "the new cluster", is(store.ClusterUpdated, "u3"))
	must(t, w.PutMachines(t.Context(), c, machines("c", 1, "aaaaa")))
	until(t, events, "its machine", is(store.ClusterUpdated, "u3"))
	_, err = w.etcd.Put(t.Context(), w.prefix+"/clusters/d", "nonsense") // must not end the watch
	must(t, err)
	must(t, w.DeleteCluster(t.Context(), c))
	until(t, events, "its deletion", is(store.ClusterDeleted, "u3"))
	cancel()
	for range events {
	}
}

func TestSlowReaderSeesLastStateAndDeletions(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	events, err := w.WatchClusters(t.Context(), "a")
	must(t, err)
	<-events
	must(t, w.DeleteCluster(t.Context(), r))
	r = w.created(t, "a", "u2")
	must(t, w.DeleteCluster(t.Context(), r))
	w.created(t, "a", "u3")
	var deleted []string
	until(t, events, "the third cluster of that name", func(e store.ClusterChange) bool {
		if e.Type == store.ClusterDeleted {
			deleted = append(deleted, e.Cluster.Metadata.UID)
		}
		return e.Type == store.ClusterUpdated && e.Cluster.Metadata.UID == "u3"
	})
	if strings.Join(deleted, " ") != "u1 u2" {
		t.Errorf("deletions: %v", deleted)
	}
}

func TestChangesAreMergedForSlowReader(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	events, err := w.WatchClusters(t.Context(), "")
	must(t, err)
	<-events
	for i := range 200 {
		_, err := w.UpdateCluster(t.Context(), r,
			func(c *api.Cluster) error { c.Status.TunnelPort = i + 1; return nil })
		must(t, err)
	}
	w.created(t, "b", "u2") // sent after all earlier changes
	n, last := 0, 0
	until(t, events, "the later cluster", func(e store.ClusterChange) bool {
		if e.Cluster.Metadata.UID == "u1" {
			n, last = n+1, e.Cluster.Status.TunnelPort
		}
		return e.Cluster.Metadata.UID == "u2"
	})
	if n > 20 || last != 200 {
		t.Errorf("got %d events, the last for change %d of 200", n, last)
	}
}

func TestWatchSendsACopy(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	must(t, w.PutMachines(t.Context(), r, machines("a", 1, "aaaaa")))
	_, err := w.UpdateCluster(t.Context(), r, func(c *api.Cluster) error {
		c.Status.Drift, c.Status.Repairs = []api.Drift{{Machine: "sky-a-0"}}, []api.Repair{{ID: "1"}}
		return nil
	})
	must(t, err)
	events, err := w.WatchClusters(t.Context(), "a")
	must(t, err)
	first := <-events
	first.Cluster.Metadata.Labels["team"] = "spoilt"
	first.Cluster.Status.Drift[0].Machine = "spoilt"
	first.Cluster.Status.Repairs[0].ID = "spoilt"
	first.Cluster.Status.Machines[0].Name = "spoilt"
	_, err = w.UpdateMachine(t.Context(), r, 0, "aaaaa", func(m *api.Machine) error { m.Step = "x"; return nil })
	must(t, err)
	e := until(t, events, "a change", func(e store.ClusterChange) bool {
		return e.Cluster.Status.Machines[0].Step == "x"
	})
	status := e.Cluster.Status
	if e.Cluster.Metadata.Labels["team"] != "ml" || status.Machines[0].Name != "sky-a-0" ||
		status.Drift[0].Machine != "sky-a-0" || status.Repairs[0].ID != "1" {
		t.Errorf("a change by the reader shows up in the next event: %+v", e.Cluster)
	}
}

func TestWatchOfMissingClusterFails(t *testing.T) {
	w := newWorld(t)
	wantErr[*store.NotFoundError](t, second(w.WatchClusters(t.Context(), "a")))
	_, err := w.etcd.Put(t.Context(), w.prefix+"/clusters/a", "nonsense")
	must(t, err)
	wantErr[*store.CorruptError](t, second(w.WatchClusters(t.Context(), "a")))
}

func TestWatchResumesAfterOutageWithCompaction(t *testing.T) {
	t.Parallel()
	dir, address := t.TempDir(), freeport.GetAddress(t)
	e, err := etcdserver.Start(dir, address)
	must(t, err)
	s, err := store.Open(t.Context(), store.Options{Endpoints: []string{"http://" + address}, Prefix: "/p",
		DialTimeout: 10 * time.Second})
	must(t, err)
	w := world{Store: s}
	keep, gone := w.created(t, "keep", "u1"), w.created(t, "gone", "u2")
	must(t, w.PutMachines(t.Context(), keep, machines("keep", 1, "aaaaa")))
	w.created(t, "recreated", "u3")
	all, err := s.WatchClusters(t.Context(), "")
	must(t, err)
	one, err := s.WatchClusters(t.Context(), "keep")
	must(t, err)
	for range 3 {
		<-all
	}
	<-one
	e.Close()

	// While the watcher is disconnected, the state changes under another address and the history is compacted.
	away := freeport.GetAddress(t)
	e, err = etcdserver.Start(dir, away)
	must(t, err)
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{"http://" + away}})
	must(t, err)
	other := world{Store: store.New(c, "/p", nil)}
	_, err = other.UpdateCluster(t.Context(), keep, phase(api.PhaseReady))
	must(t, err)
	_, err = other.UpdateMachine(t.Context(), keep, 0, "aaaaa",
		func(m *api.Machine) error { m.State = api.MachineReady; return nil })
	must(t, err)
	must(t, other.DeleteCluster(t.Context(), gone))
	must(t, other.DeleteCluster(t.Context(), api.Ref{Name: "recreated", UID: "u3"}))
	other.created(t, "recreated", "u4")
	resp, err := c.Get(t.Context(), "x")
	must(t, err)
	_, err = c.Compact(t.Context(), resp.Header.Revision, clientv3.WithCompactPhysical())
	must(t, err)
	must(t, other.Close())
	e.Close()

	e, err = etcdserver.Start(dir, address)
	must(t, err)
	defer func() { s.Close(); e.Close() }()
	left := map[string]bool{"deletion of gone": true, "deletion of u3": true, "u4": true, "keep READY": true}
	until(t, all, "all changes of the outage", func(e store.ClusterChange) bool {
		switch {
		case is(store.ClusterDeleted, "u2")(e):
			delete(left, "deletion of gone")
		case is(store.ClusterDeleted, "u3")(e):
			delete(left, "deletion of u3")
		case is(store.ClusterUpdated, "u4")(e):
			delete(left, "u4")
		case is(store.ClusterUpdated, "u1")(e) && e.Cluster.Status.Phase == api.PhaseReady:
			delete(left, "keep READY")
		}
		return len(left) == 0
	})
	ready := func(e store.ClusterChange) bool {
		return e.Cluster.Status.Phase == api.PhaseReady && e.Cluster.Status.Machines[0].State == api.MachineReady
	}
	until(t, one, "READY with its machine", ready)
	w.created(t, "later", "u5")
	until(t, all, "a change after the outage", is(store.ClusterUpdated, "u5"))
}
