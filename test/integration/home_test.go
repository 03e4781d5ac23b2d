package integration

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/home"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/plan"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/test/devserver"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/simcloud"
	stage "github.com/sky-shift/skyctl/test/world"
)

// state is a state directory with its own servers and path, without a worker at first. Its copy has the same cloud.
type state struct {
	*world
	servers *devserver.Servers
	place   home.Location
	ledger  string
}

func newState(t *testing.T, s *devserver.Servers, on *simcloud.Cloud, place home.Location, ledger string) *state {
	t.Helper()
	st := &state{world: newIdleWorld(t, s), servers: s, place: place, ledger: ledger}
	if on != nil {
		st.cloud = on
	}
	return st
}

// begin starts skyd's worker with the state.
func (s *state) begin() {
	s.t.Helper()
	pool := remote.NewPool(time.Minute)
	s.t.Cleanup(pool.Close)
	restored, err := home.ReadRestoration(s.servers.Config.ServerDir())
	if err != nil {
		s.t.Fatal(err)
	}
	s.acts = stage.NewActivities(stage.WorkerSettings{
		TaskQueue: s.queue, Home: s.home, Release: release, Deadlines: stage.UniformDeadlines(patience),
		Policy:      plan.DefaultPolicy(),
		OrphanGrace: time.Nanosecond, Place: s.place, Ledger: s.ledger, Restored: restored,
	}, s.store, pool, s.cloud, s.temporal)
	if err := s.acts.Sweeps.Home.RecordStart(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.work()
	s.acts.Sweeps.Home.MarkMachines(s.t.Context())
}

// fork is two states of one installation: the original and a copy, which is made while no worker runs.
func (s *state) fork(to home.Location, ledger string) *state {
	s.t.Helper()
	s.running.Stop()
	copied, err := s.servers.StartCopy(s.t.Context(), filepath.Join(s.t.TempDir(), "copy"), io.Discard)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(copied.Close)
	return newState(s.t, copied, s.cloud, to, ledger)
}

var (
	original = home.Location{Host: "host-a", Hostname: "ann", Dir: "/home/ann/.skyconf"}
	beside   = home.Location{Host: "host-a", Hostname: "ann", Dir: "/home/ann/copy"}
	far      = home.Location{Host: "host-b", Hostname: "bob", Dir: "/home/ann/.skyconf"}
)

// newOriginal creates a state with a READY cluster.
func newOriginal(t *testing.T, ledger string) *state {
	t.Helper()
	t.Parallel()
	servers, err := devserver.StartServers(t.Context(), filepath.Join(t.TempDir(), "state"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(servers.Close)
	a := newState(t, servers, nil, original, ledger)
	a.begin()
	a.awaitReady(a.create("one", 2, client.CreateOptions{}))
	return a
}

// inDoubt checks that a state changes nothing, neither by a sweep nor on request.
func (s *state) inDoubt(shared api.Ref, orphans int) {
	s.t.Helper()
	machines := len(s.cloud.ExistingMachines(""))
	launches := s.cloud.CountLaunches("sky-", "")
	r := s.sweep("")
	if r.Doubt == nil {
		s.t.Fatalf("the home is not in doubt: %+v", r)
	}
	if len(r.Orphans) != orphans {
		s.t.Errorf("%d orphans, want %d: %+v", len(r.Orphans), orphans, r.Orphans)
	}
	for _, o := range r.Orphans {
		if !o.TerminateAt.IsZero() || o.State == "terminated" {
			s.t.Errorf("orphan %s is to be terminated at %v, state %s", o.Name, o.TerminateAt, o.State)
		}
	}
	for _, d := range r.Drifted {
		if d.Started != "" {
			s.t.Errorf("%s was started on %s", d.Started, d.Cluster)
		}
	}
	for _, d := range s.get(shared).Status.Drift {
		if d.Next != api.HomeHeld {
			s.t.Errorf("next about %s: %q", d.Reason, d.Next)
		}
	}
	var names []string
	for _, o := range r.Orphans {
		names = append(names, o.Name)
	}
	if told, err := s.ops.TerminateOrphans(s.t.Context(), names); err != nil {
		s.t.Errorf("naming the orphans: %v", err)
	} else {
		for _, o := range told.Orphans {
			if o.Error == "" {
				s.t.Errorf("orphan %s was terminated because it was named", o.Name)
			}
		}
	}
	_, created := s.ops.CreateCluster(s.t.Context(), api.NewCluster("fresh", "", spec(1), nil, time.Now()),
		client.CreateOptions{})
	deleted := s.ops.DeleteCluster(s.t.Context(), shared, false, func(string) {})
	for what, err := range map[string]error{"create": created, "delete": deleted} {
		if doubt := new(client.HomeDoubtError); !errors.As(err, &doubt) {
			s.t.Errorf("%s: got %v, want the error of a home in doubt", what, err)
		}
	}
	if now := len(s.cloud.ExistingMachines("")); now != machines || s.cloud.CountLaunches("sky-", "") != launches {
		s.t.Errorf("%d machines, %d before", now, machines)
	}
}

// adopt adopts a state, in the two steps of skyctl server adopt. It returns the result of the sweep after it.
func (s *state) adopt(marks int) operation.SweepResult {
	s.t.Helper()
	seen, err := s.ops.AdoptHome(s.t.Context(), operation.AdoptInput{})
	if err != nil || len(seen.Findings) == 0 || seen.After.Starts != seen.Before.Starts {
		s.t.Fatalf("objections to the adoption: %+v, %v", seen, err)
	}
	done, err := s.ops.AdoptHome(s.t.Context(), operation.AdoptInput{Confirmed: true})
	if err != nil || done.After.Doubt != nil || len(done.Marked) != marks {
		s.t.Fatalf("adopted: %+v, %v", done, err)
	}
	// as after a worker was killed during it
	again, err := s.ops.AdoptHome(s.t.Context(), operation.AdoptInput{Confirmed: true})
	if err != nil || again.After.Starts != done.After.Starts || len(again.Marked) != marks {
		s.t.Errorf("adopted again: %+v, %v", again, err)
	}
	r := s.sweep("")
	if r.Doubt != nil {
		s.t.Errorf("the home is in doubt after the adoption: %+v", r.Doubt)
	}
	return r
}

func TestCopyOfAStateChangesNothingUntilAdopted(t *testing.T) {
	ledger := t.TempDir()
	a := newOriginal(t, ledger)
	b := a.fork(beside, ledger)
	a.begin()
	two := a.create("two", 1, client.CreateOptions{})
	a.awaitReady(two)
	one := a.get(api.Ref{Name: "one"}).Ref()

	b.begin()
	b.inDoubt(one, 1)
	a.healthy(one, 2)
	a.healthy(two, 1)
	if r := a.sweep(""); r.Doubt != nil {
		t.Errorf("the original is in doubt: %+v", r.Doubt)
	}

	// Both now find machine 1 of the first cluster lost; the copy leaves it to the original.
	a.cloud.LoseMachine(api.MachineName("one", 1))
	b.inDoubt(one, 1)

	// The orphan is a machine of the original's cluster. The user who adopts was told; the grace period starts then.
	if err := a.ops.DeleteCluster(t.Context(), two, false, func(string) {}); err != nil {
		t.Fatal(err)
	}
	a.awaitGone(two)
	if err := b.awaitRepair(one, b.adopt(1)); err != nil {
		t.Errorf("the repair: %v", err)
	}
	b.healthy(one, 2)
	a.inDoubt(one, 0)
}

func TestAdoptionRestartsTheGracePeriodOfOrphans(t *testing.T) {
	a := newOriginal(t, t.TempDir())
	a.acts.Sweeps.OrphanGrace = time.Hour
	installation, err := a.store.EnsureInstallationID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := cloud.Machine{
		Owner:       cloud.Owner{Installation: installation, Cluster: "newer", ClusterUID: "newer-uid"},
		Name:        api.MachineName("newer", 0),
		Incarnation: "n",
	}
	a.cloud.AddForeignMachine(m)
	m = a.cloud.ExistingMachines(m.Name)[0]
	old := api.Orphan{Cloud: simcloud.Name, Name: m.Name, ID: m.ID, Cluster: "newer", ClusterUID: "newer-uid",
		FirstSeen: time.Now().Add(-2 * time.Hour)}
	if err := a.store.AddOrphan(t.Context(), simcloud.Name, old); err != nil {
		t.Fatal(err)
	}
	adopted := time.Now()
	if _, err := a.store.UpdateHome(t.Context(),
		func(h *api.Home) error { h.AdoptedAt = adopted; return nil }); err != nil {
		t.Fatal(err)
	}
	r := a.sweep("")
	if len(r.Orphans) != 1 || !r.Orphans[0].FirstSeen.Equal(old.FirstSeen) ||
		r.Orphans[0].TerminateAt.Before(adopted.Add(time.Hour)) {
		t.Errorf("orphans %+v, want one whose grace period starts at the adoption", r.Orphans)
	}
	if len(a.cloud.ExistingMachines(m.Name)) != 1 {
		t.Error("it was terminated at once")
	}
}

func TestRepairStartsThoughNoMachineAnswers(t *testing.T) {
	a := newOriginal(t, t.TempDir())
	ref := a.create("mute", 3, client.CreateOptions{})
	a.awaitReady(ref)
	a.running.Stop()
	file := filepath.Join(a.home, "mute", "kubeconfig")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		a.cloud.SilenceSSH(api.MachineName("mute", i), true)
	}
	a.begin() // without open connections
	if r := a.sweep("mute"); len(r.Drifted) != 1 || r.Drifted[0].Started != operation.WorkflowConverge {
		t.Errorf("drifted %+v", r.Drifted)
	}
	eventually.Holds(t, "the kubeconfig is restored", func() bool { _, err := os.Stat(file); return err == nil })
}

func TestRemoteCopyIsFoundByTheMarksOnMachines(t *testing.T) {
	a := newOriginal(t, "")
	b := a.fork(far, "")
	b.begin()
	one := b.get(api.Ref{Name: "one"}).Ref()
	b.inDoubt(one, 0)
	b.adopt(1)
	if h, err := b.store.ReadHome(t.Context()); err != nil || h.Hostname != far.Hostname {
		t.Errorf("its home is %+v, %v", h, err)
	}
	a.begin() // a start exchanges marks
	a.inDoubt(one, 0)
	a.adopt(1) // and the original can be adopted again
	b.running.Stop()
	b.begin()
	b.inDoubt(one, 0)
}

func TestRunningOperationsWaitInACopy(t *testing.T) {
	ledger := t.TempDir()
	a := newOriginal(t, ledger)
	reached, goOn := make(chan struct{}), make(chan struct{})
	a.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpAwait, Machine: api.MachineName("two", 0), Times: 1,
		Do: holdAt(reached, goOn)})
	two := a.create("two", 1, client.CreateOptions{})
	<-reached
	stopped := make(chan struct{})
	go func() { defer close(stopped); a.running.Stop() }() // the activity ends with the worker
	<-stopped
	b := a.fork(beside, ledger)
	close(goOn)
	b.begin()
	eventually.Holds(t, "the create continues in the copy", func() bool {
		return stage.OperationRuns(t.Context(), b.temporal, two.Name, "Await")
	})
	a.begin()
	a.awaitReady(two)
	launched := a.cloud.CountLaunches("sky-", "")

	if c := b.get(two); c.Status.Phase != api.PhaseProvisioning {
		t.Errorf("in the copy the cluster is %s", c.Status.Phase)
	}
	a.running.Stop()
	b.adopt(1) // it has a record of one READY cluster
	b.awaitReady(two)
	if n := b.cloud.CountLaunches("sky-", ""); n != launched {
		t.Errorf("%d machines were launched, %d before the copy continued", n, launched)
	}
	b.healthy(two, 1)
}

// holdAt holds a call until goOn is closed.
func holdAt(reached chan<- struct{}, goOn <-chan struct{}) func(context.Context) error {
	return func(ctx context.Context) error {
		close(reached)
		select {
		case <-goOn:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
