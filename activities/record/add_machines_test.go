package record

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/etcdserver"
)

// newReadyCluster returns a READY cluster with a head, and a pool gpu beside the empty default one.
func newReadyCluster(t *testing.T, name string, replicas int) (*Activities, api.Ref) {
	t.Helper()
	client, _ := etcdserver.NewCountedClient(t, etcd)
	a := &Activities{Store: store.New(client, "/"+t.Name(), make([]byte, 32)), Now: time.Now}
	c := api.NewCluster(name, "u1", api.GroupSpec{Cloud: "docker", NumNodes: 1, Provision: true}, nil, time.Now())
	c.Spec.Pools = append(c.Spec.Pools, api.Pool{Name: "gpu", Replicas: replicas})
	c.Status.SetPhase(api.PhaseReady, "", time.Now())
	if _, err := a.Store.CreateCluster(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	head := api.NewMachine(name, 0, "", "hhhhh", here, time.Now())
	if err := a.Store.PutMachines(t.Context(), c.Ref(), []api.Machine{head}); err != nil {
		t.Fatal(err)
	}
	return a, c.Ref()
}

var here = api.Placement{Cloud: "docker", Region: "local"}

func addMachines(t *testing.T, a *Activities, ref api.Ref, pool string) ([]activities.MachineRef, error) {
	t.Helper()
	return a.AddMachines(t.Context(), AddMachinesInput{Cluster: ref, Pool: pool, Placement: here})
}

func indexesOf(machines []activities.MachineRef) []int {
	var indexes []int
	for _, m := range machines {
		indexes = append(indexes, m.Index)
	}
	return indexes
}

func TestAddMachinesAddsWhatThePoolLacksOnce(t *testing.T) {
	a, ref := newReadyCluster(t, "a", 3)
	for _, want := range [][]int{{1, 2, 3}, nil} {
		added, err := addMachines(t, a, ref, "gpu")
		if err != nil || !slices.Equal(indexesOf(added), want) {
			t.Errorf("added %v: %v; want %v", indexesOf(added), err, want)
		}
	}
	usable, err := a.Store.ListUsableSecrets(t.Context(), ref)
	if err != nil || len(usable) != 5 {
		t.Errorf("keys %v: %v", usable, err)
	}
	c, err := a.Store.ReadCluster(t.Context(), ref.Name)
	if err != nil {
		t.Fatal(err)
	}
	if m := c.Status.Machines[3]; m.Pool != "gpu" || m.Role != api.RoleWorker || m.State != api.MachineReserved ||
		m.Placement != here || c.Status.NextIndex != 4 {
		t.Errorf("machine %+v, next index %d", m, c.Status.NextIndex)
	}
}

func TestAddMachinesReplacesWhatLeavesUnderANewIndex(t *testing.T) {
	a, ref := newReadyCluster(t, "a", 2)
	added, err := addMachines(t, a, ref, "gpu")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		in := MarkLeavingInput{Machine: added[1], Reason: api.LeaveDeleted}
		if err := a.MarkLeaving(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.MarkLeaving(t.Context(), MarkLeavingInput{Machine: added[1], Reason: api.LeaveScaledDown}); err != nil {
		t.Fatal(err)
	}
	added, err = addMachines(t, a, ref, "gpu")
	if err != nil || !slices.Equal(indexesOf(added), []int{3}) {
		t.Errorf("added %v: %v", indexesOf(added), err)
	}
	c, err := a.Store.ReadCluster(t.Context(), ref.Name)
	if err != nil || c.Status.Machines[2].Leaving != api.LeaveDeleted {
		t.Errorf("%v: %+v", err, c.Status.Machines)
	}
}

func TestOverlappingAddMachinesAddNoMachineTwice(t *testing.T) {
	a, ref := newReadyCluster(t, "a", 20)
	if err := a.Store.PutSecret(t.Context(), ref, store.SecretSSHKey, []byte("key")); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	returned := map[string]bool{} // by incarnation
	for range 6 {
		group.Go(func() {
			added, err := addMachines(t, a, ref, "gpu")
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, m := range added {
				returned[m.Incarnation] = true
			}
		})
	}
	group.Wait()
	c, err := a.Store.ReadCluster(t.Context(), ref.Name)
	if err != nil || len(c.Status.Machines) != 21 || c.Status.NextIndex != 21 || len(returned) != 20 {
		t.Errorf("%v: %d machines, next index %d, returned %d", err, len(c.Status.Machines), c.Status.NextIndex,
			len(returned))
	}
}

func TestAddMachinesCreatesKeysThatAnEarlierCallDidNot(t *testing.T) {
	a, ref := newReadyCluster(t, "a", 2)
	added, err := addMachines(t, a, ref, "gpu")
	if err != nil {
		t.Fatal(err)
	}
	lost := store.SecretHostKey(added[0].Incarnation)
	if err := a.Store.DeleteSecret(t.Context(), ref, lost); err != nil {
		t.Fatal(err)
	}
	if _, err := addMachines(t, a, ref, "gpu"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Store.ReadSecret(t.Context(), ref, lost); err != nil {
		t.Error(err)
	}
}

func TestAddMachinesRefusesWhatCannotGrow(t *testing.T) {
	const longest = "a23456789-123456789-123456789-123456789-123456789" // of an older version
	for name, test := range map[string]struct {
		change func(*api.ClusterStatus)
		reason string
	}{
		"READY":     {func(*api.ClusterStatus) {}, ""},
		"repairing": {func(s *api.ClusterStatus) { s.SetPhase(api.PhaseError, "", time.Now()) }, ""},
		"deleting":  {func(s *api.ClusterStatus) { s.SetPhase(api.PhaseDeleting, "", time.Now()) }, "Deleting"},
		"creating":  {func(s *api.ClusterStatus) { s.SetPhase(api.PhaseProvisioning, "", time.Now()) }, "WrongPhase"},
		"failed": {func(s *api.ClusterStatus) { s.Phase, s.Transitions = api.PhaseError, nil },
			"WrongPhase"},
		"the last indexes": {func(s *api.ClusterStatus) { s.NextIndex = 998 }, ""},
		"no index left":    {func(s *api.ClusterStatus) { s.NextIndex = 999 }, "IndexesUsedUp"},
	} {
		t.Run(name, func(t *testing.T) {
			a, ref := newReadyCluster(t, longest, 2)
			if _, err := a.Store.UpdateCluster(t.Context(), ref, func(c *api.Cluster) error {
				test.change(&c.Status)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			added, err := addMachines(t, a, ref, "gpu")
			var failed *temporal.ApplicationError
			switch {
			case test.reason == "" && (err != nil || len(added) != 2):
				t.Errorf("added %d: %v", len(added), err)
			case test.reason != "" && (!errors.As(err, &failed) || failed.Type() != test.reason ||
				!failed.NonRetryable()):
				t.Errorf("got %v, want reason %s", err, test.reason)
			}
		})
	}
}

func TestAddMachinesAddsNothingToAPoolThatIsGone(t *testing.T) {
	a, ref := newReadyCluster(t, "a", 2)
	for _, pool := range []string{"cpu", api.DefaultPool} {
		if added, err := addMachines(t, a, ref, pool); err != nil || len(added) > 0 {
			t.Errorf("%s: added %v: %v", pool, added, err)
		}
	}
}

func TestAddMachinesAddsNothingInAPlacementForOtherMachines(t *testing.T) {
	a, ref := newReadyCluster(t, "a", 2)
	in := AddMachinesInput{Cluster: ref, Pool: "gpu", Placement: here,
		Asked: &api.PoolMachines{Machine: api.MachineSpec{CPUs: "8+"}}}
	added, err := a.AddMachines(t.Context(), in)
	if err != nil || len(added) != 0 {
		t.Errorf("added %v: %v", indexesOf(added), err)
	}
	in.Asked = &api.PoolMachines{}
	if added, err = a.AddMachines(t.Context(), in); err != nil || len(added) != 2 {
		t.Errorf("added %v: %v", indexesOf(added), err)
	}
}

func TestMachineOfAPoolThatGrewAgainIsNotMarkedAsLeaving(t *testing.T) {
	a, ref := newReadyCluster(t, "a", 3)
	added, err := addMachines(t, a, ref, "gpu")
	if err != nil {
		t.Fatal(err)
	}
	scaleTo := func(replicas int) {
		t.Helper()
		if _, err := a.Store.UpdateCluster(t.Context(), ref, func(c *api.Cluster) error {
			c.Spec.FindPool("gpu").Replicas = replicas
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	leave := func(i int) error {
		return a.MarkLeaving(t.Context(), MarkLeavingInput{Machine: added[i], Reason: api.LeaveScaledDown})
	}
	scaleTo(2)
	for range 2 { // also if it runs again
		if err := leave(2); err != nil {
			t.Fatal(err)
		}
	}
	var applied *temporal.ApplicationError
	if err := leave(1); !errors.As(err, &applied) || applied.Type() != activities.ReasonStillWanted ||
		!applied.NonRetryable() {
		t.Errorf("got %v", err)
	}
	c, err := a.Store.ReadCluster(t.Context(), ref.Name)
	if err != nil || c.Status.Machines[2].Leaving != "" || c.Status.Machines[3].Leaving != api.LeaveScaledDown {
		t.Errorf("%v: %+v", err, c.Status.Machines)
	}
}

func TestNoServerIsMarkedAsLeaving(t *testing.T) {
	a, ref := newReadyCluster(t, "a", 2)
	head := activities.MachineRef{Cluster: ref, Index: 0, Name: "sky-a-0", Incarnation: "hhhhh"}
	var failed *temporal.ApplicationError
	err := a.MarkLeaving(t.Context(), MarkLeavingInput{Machine: head, Reason: api.LeaveDeleted})
	if !errors.As(err, &failed) || failed.Type() != "Conflict" {
		t.Errorf("got %v", err)
	}
	gone := activities.MachineRef{Cluster: ref, Index: 7, Name: "sky-a-7", Incarnation: "ggggg"}
	if err := a.MarkLeaving(t.Context(), MarkLeavingInput{Machine: gone, Reason: api.LeaveDeleted}); err != nil {
		t.Error(err)
	}
}

func TestAddMachinesMakesFewRequestsHoweverManyMachines(t *testing.T) {
	client, traffic := etcdserver.NewCountedClient(t, etcd)
	calls := map[int]int64{}
	for _, count := range []int{3, 400} {
		a, ref := newReadyCluster(t, "a", count)
		a.Store = store.New(client, "/"+t.Name(), make([]byte, 32))
		traffic.Reset()
		added, err := addMachines(t, a, ref, "gpu")
		if err != nil || len(added) != count {
			t.Fatalf("%d of %d machines: %v", len(added), count, err)
		}
		calls[count] = traffic.Calls()
		if err := a.Store.DeleteCluster(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
	}
	if calls[400] > calls[3] {
		t.Errorf("requests by machines: %v", calls)
	}
}

func TestAThousandMachinesAreAddedAtOnce(t *testing.T) {
	a, ref := newReadyCluster(t, "a", 1000)
	added, err := addMachines(t, a, ref, "gpu")
	if err != nil || len(added) != 1000 {
		t.Fatalf("%d machines: %v", len(added), err)
	}
	if usable, err := a.Store.ListUsableSecrets(t.Context(), ref); err != nil || len(usable) != 1002 {
		t.Errorf("%d keys: %v", len(usable), err)
	}
}

func TestKeysThatMachinesKnowAreNotCreatedAgain(t *testing.T) {
	a, ref := newReadyCluster(t, "a", 1)
	if _, err := addMachines(t, a, ref, "gpu"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Store.UpdateMachine(t.Context(), ref, 0, "hhhhh", func(m *api.Machine) error {
		m.State = api.MachineReady
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := a.Store.DeleteSecret(t.Context(), ref, store.SecretSSHKey); err != nil {
		t.Fatal(err)
	}
	_, err := addMachines(t, a, ref, "gpu")
	var failed *temporal.ApplicationError
	if !errors.As(err, &failed) || failed.Type() != string(api.DriftKeysMissing) {
		t.Errorf("got %v", err)
	}
}
