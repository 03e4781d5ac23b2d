package dockersim

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker"
)

// KillScenario is an action during which a process is killed.
type KillScenario struct {
	Name string
	// Builds means that it first needs the host image, which only a simulated engine builds at once.
	Builds bool
	// before is what other processes do first.
	before func(context.Context, *Installation, *docker.Cloud) error
	do     func(context.Context, *Installation, *docker.Cloud) error
}

// KillScenarios are all changes that the docker cloud makes to an engine.
func KillScenarios() []KillScenario {
	launch := func(ctx context.Context, i *Installation, c *docker.Cloud) error {
		_, err := i.LaunchMachine(ctx, c, "pc", 0)
		return err
	}
	stopped := func(ctx context.Context, i *Installation, c *docker.Cloud) error {
		err := launch(ctx, i, c)
		i.Backend.StopContainer(i.MachineName("pc", 0))
		return err
	}
	return []KillScenario{
		{Name: "a launch", do: launch},
		{Name: "a launch that builds the host image", Builds: true, do: launch},
		{Name: "a start", before: stopped, do: func(ctx context.Context, i *Installation, c *docker.Cloud) error {
			_, err := c.StartMachine(ctx, i.MachineTarget("pc", 0), "")
			return err
		}},
		{Name: "a start at another address", before: stopped, do: startElsewhere},
		{Name: "a terminate", before: launch, do: func(ctx context.Context, i *Installation, c *docker.Cloud) error {
			return i.TerminateCluster(ctx, c, "pc", 1)
		}},
		{Name: "an isolated host", do: runIsolated},
		{Name: "a removal of the host image", Builds: true,
			do: func(ctx context.Context, _ *Installation, c *docker.Cloud) error {
				return c.RemoveImage(ctx)
			}},
	}
}

// runIsolated launches an isolated host and removes it.
func runIsolated(ctx context.Context, i *Installation, c *docker.Cloud) error {
	req := i.NewLaunchRequest("pc", 0)
	return c.RunIsolated(ctx, cloud.IsolatedRequest{Owner: req.Owner, Name: "isolated", MemoryGiB: 1,
		DiskDirs: []string{"/var/lib/rancher/rke2/data"}, AuthorizedKey: req.AuthorizedKey, HostKey: req.HostKey},
		func(string) {}, func(context.Context, cloud.Machine) error { return nil })
}

// startElsewhere starts a host at the address next to its own.
func startElsewhere(ctx context.Context, i *Installation, c *docker.Cloud) error {
	first, err := i.LaunchMachine(ctx, c, "neighbour", 0)
	if err != nil {
		return err
	}
	near, err := netip.ParseAddr(first.PrivateAddress)
	if err != nil {
		return err
	}
	if err := i.TerminateCluster(ctx, c, "neighbour", 1); err != nil {
		return err
	}
	_, err = c.StartMachine(ctx, i.MachineTarget("pc", 0), near.Prev().String())
	return err
}

// Run kills a process at a call, and continues with another: with the same action, like an interrupted operation, or
// with other actions. A later process can create and delete, and nothing remains. Run returns the calls of the first
// process; at call 0 it is not killed.
func (k KillScenario) Run(t testing.TB, i *Installation, at int, after, again bool) []string {
	t.Helper()
	if k.before != nil {
		i.RequireNoError(k.before(t.Context(), i, i.NewProcess(i.Backend)))
	}
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	cutter := &Cutter{Engine: i.Backend, At: at, After: after, Kill: kill}
	if err := k.do(ctx, i, i.NewProcess(cutter)); at == 0 {
		i.RequireNoError(err)
	}
	next := i.NewProcess(i.Backend)
	if again {
		if err := k.do(t.Context(), i, next); err != nil {
			t.Errorf("the action cannot be repeated: %v", err)
		}
	}
	i.createAndDelete(next)
	if t.Failed() {
		calls := cutter.RecordedCalls()
		t.Errorf("killed at call %d (%s), after the engine had done it: %v, tried again: %v", at, calls[len(calls)-1],
			after, again)
	}
	return cutter.RecordedCalls()
}

func (i *Installation) createAndDelete(c *docker.Cloud) {
	i.T.Helper()
	ctx := i.T.Context()
	for _, cluster := range []string{"pc", "other"} {
		m, err := i.LaunchMachine(ctx, c, cluster, 0)
		if err == nil && (m.Address == "" || m.State != cloud.StateRunning) {
			err = fmt.Errorf("it is %+v", m)
		}
		if err != nil {
			i.T.Errorf("cluster %s can't be created: %v", cluster, err)
		}
	}
	for _, cluster := range []string{"pc", "other", "neighbour"} {
		if err := i.TerminateCluster(ctx, c, cluster, 1); err != nil {
			i.T.Errorf("cluster %s can't be deleted: %v", cluster, err)
		}
	}
	i.WantNothingLeft(c)
}
