package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/eventually"
)

// machinesAt is true once at least n machines are in one of the states.
func machinesAt(n int, states ...api.MachineState) func(api.Cluster) bool {
	return func(c api.Cluster) bool {
		count := 0
		for _, m := range c.Status.Machines {
			if slices.Contains(states, m.State) {
				count++
			}
		}
		return count >= n
	}
}

func TestKilledSkydResumesACreate(t *testing.T) {
	t.Parallel()
	points := []struct {
		name  string
		state func(api.Cluster) bool
	}{
		{"launching", machinesAt(1, api.MachineLaunching)},
		{"preparing", machinesAt(1, api.MachineUp)},
		{"joining", machinesAt(3, api.MachinePrepared, api.MachineReady)},
	}
	i := newInstallation(t)
	for _, p := range points {
		t.Run(p.name, func(t *testing.T) {
			if r := i.create(p.name, "--num_nodes", "3"); r.code != 0 {
				t.Fatalf("create: exit %d\n%s", r.code, r.stderr)
			}
			i.await(p.name, p.name, p.state)
			i.killSkyd()
			c := i.awaitReady(p.name) // the next command starts skyd again
			if n := len(i.hosts(p.name)); n != 3 {
				t.Errorf("%d machines, want exactly 3", n)
			}
			for _, m := range c.Status.Machines {
				if m.State != api.MachineReady {
					t.Errorf("%s is %s", m.Name, m.State)
				}
			}
			if n := strings.Count(i.kubectl(p.name, "get", "nodes", "--no-headers"), " Ready "); n != 3 {
				t.Errorf("%d nodes Ready", n)
			}
			i.run("delete", "cluster", p.name, "--yes", "--wait")
		})
	}
}

// breakWorker masks the agent's unit on machine 1 of a cluster, as soon as that machine exists.
func (i *installation) breakWorker(cluster string) {
	i.t.Helper()
	name := fmt.Sprintf("sky-%s-1", cluster)
	eventually.Holds(i.t, name+" exists", func() bool {
		_, err := i.onHost(name, "ln", "-sf", "/dev/null", "/etc/systemd/system/rke2-agent.service")
		return err == nil
	})
}

func TestFailedWorkerEndsACreateInErrorWithoutMachines(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	if r := i.create("broken", "--num_nodes", "2"); r.code != 0 {
		t.Fatalf("create: exit %d\n%s", r.code, r.stderr)
	}
	i.breakWorker("broken")
	c := i.await("broken", "ERROR", func(c api.Cluster) bool { return c.Status.Phase == api.PhaseError })
	f := c.Status.Failure
	if f == nil || f.Machine != "sky-broken-1" || f.Reason == "" || f.Message == "" {
		t.Fatalf("failure: %+v", f)
	}
	if n := len(i.hosts("broken")); n != 0 {
		t.Errorf("%d machines left", n)
	}
	text := i.run("describe", "cluster", "broken").stdout
	for _, want := range []string{f.Step, f.Machine, f.Reason} {
		if !strings.Contains(text, want) {
			t.Errorf("describe does not show %q:\n%s", want, text)
		}
	}
	// The second time nothing is broken, and the same create resumes.
	if r := i.create("broken", "--num_nodes", "2", "--wait"); r.code != 0 {
		t.Errorf("the same create again: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

func TestCreateReusesKeptMachines(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	if r := i.create("reused", "--num_nodes", "2", "--keep-on-failure"); r.code != 0 {
		t.Fatalf("create: exit %d\n%s", r.code, r.stderr)
	}
	i.breakWorker("reused")
	i.await("reused", "ERROR", func(c api.Cluster) bool { return c.Status.Phase == api.PhaseError })
	before := ids(i, "reused")
	if len(before) != 2 {
		t.Fatalf("%d machines kept, want 2", len(before))
	}
	if out, err := i.onHost("sky-reused-1", "sh", "-c",
		"rm /etc/systemd/system/rke2-agent.service && systemctl daemon-reload"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if r := i.create("reused", "--num_nodes", "2", "--wait"); r.code != 0 {
		t.Fatalf("the same create again: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if after := ids(i, "reused"); !slices.Equal(before, after) {
		t.Errorf("machines before %v, after %v: want the same", before, after)
	}
}

func ids(i *installation, cluster string) []string {
	var all []string
	for _, c := range i.hosts(cluster) {
		all = append(all, c.ID)
	}
	slices.Sort(all)
	return all
}

func TestDeleteDuringACreateLeavesNothing(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	for _, p := range []struct {
		name  string
		state func(api.Cluster) bool
	}{
		{"early", machinesAt(1, api.MachineLaunching)},
		{"late", machinesAt(2, api.MachinePrepared)},
	} {
		t.Run(p.name, func(t *testing.T) {
			if r := i.create(p.name, "--num_nodes", "2"); r.code != 0 {
				t.Fatalf("create: exit %d\n%s", r.code, r.stderr)
			}
			i.await(p.name, p.name, p.state)
			i.run("delete", "cluster", p.name, "--yes", "--wait")
			if n := len(i.hosts(p.name)); n != 0 {
				t.Errorf("%d machines left", n)
			}
			if r := i.try("get", "cluster", p.name); r.code != 4 {
				t.Errorf("get: exit %d, want 4", r.code)
			}
		})
	}
}

func TestKilledSkydFinishesADelete(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	if r := i.create("doomed", "--num_nodes", "2"); r.code != 0 {
		t.Fatalf("create: exit %d\n%s", r.code, r.stderr)
	}
	i.awaitReady("doomed")
	i.run("delete", "cluster", "doomed", "--yes")
	i.killSkyd()
	eventually.Holds(t, "the cluster is gone", func() bool { return i.try("get", "cluster", "doomed").code == 4 })
	if n := len(i.hosts("doomed")); n != 0 {
		t.Errorf("%d machines left", n)
	}
}
