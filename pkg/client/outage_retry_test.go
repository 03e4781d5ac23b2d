package client

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/freeport"
)

// newUnreachableClient returns a client whose Temporal does not answer until the returned function is called.
func newUnreachableClient(t *testing.T) (*Client, func()) {
	t.Helper()
	address := freeport.GetAddress(t)
	c := newClient(t)
	behind := c.cfg.Temporal.Address
	c.cfg.Temporal.Address = address
	return c, sync.OnceFunc(func() {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { _ = l.Close() })
		go forwardConnections(l, behind)
	})
}

// forwardConnections forwards connections.
func forwardConnections(l net.Listener, to string) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", to)
		if err != nil {
			_ = in.Close()
			continue
		}
		go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
		go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
	}
}

func TestWaitForSyncContinuesWhileTemporalRestarts(t *testing.T) {
	world.StartWorker(t)
	ref := storeReadyCluster(t, "ridden")
	before := readStoredCluster(t, ref)
	setClusterDrift(t, ref, api.PhaseReady, gone1)
	c, comeBack := newUnreachableClient(t)
	c.sweepEvery = 10 * time.Millisecond
	var said []string
	err := c.AwaitInSync(t.Context(), before,
		operation.DriftedCluster{Cluster: "ridden", Phase: api.PhaseReady,
			Drift: []api.Drift{gone1}}, time.Minute, func(p Progress) {
			if p.Notice == "" {
				return
			}
			said = append(said, p.Notice)
			setClusterDrift(t, ref, api.PhaseReady)
			comeBack()
		})
	if err != nil || !slices.ContainsFunc(said,
		func(s string) bool { return strings.Contains(s, "Temporal") && strings.Contains(s, "at most 3m0s") }) {
		t.Errorf("notices %q, %v", said, err)
	}
}

func TestLongOutageEndsAWait(t *testing.T) {
	c := newClient(t)
	now := time.Now()
	c.now = func() time.Time { now = now.Add(outageTimeout / 2); return now }
	asked := 0
	err := c.RetryWhileUnreachable(t.Context(), ignoreText,
		func() error { asked++; return &UnreachableError{What: "Temporal", Where: "here"} })
	if !isUnreachable(err) || !strings.Contains(err.Error(), "gave up after 3m") || asked < 2 {
		t.Errorf("%d calls: %v", asked, err)
	}
	asked = 0
	refusal := errors.New("no")
	if err := c.RetryWhileUnreachable(t.Context(), ignoreText,
		func() error { asked++; return refusal }); !errors.Is(err, refusal) || asked != 1 {
		t.Errorf("another error: %d calls: %v", asked, err)
	}
}

func TestUncheckedClusterIsNotInSync(t *testing.T) {
	world.StartWorker(t)
	ref := storeReadyCluster(t, "overlooked")
	before := readStoredCluster(t, ref) // which etcd has as in sync
	invalid := api.Drift{Reason: api.DriftInvalid,
		Message: "the cluster is READY and has no machine on record in place 0 of 3"}
	err := newClient(t).AwaitInSync(t.Context(), before, operation.DriftedCluster{
		Cluster: "overlooked", Phase: api.PhaseReady, Drift: []api.Drift{invalid}, Why: "its record is invalid",
		Unseen: true,
	}, time.Minute, ignore)
	var left *DriftError
	if !errors.As(err, &left) || !strings.Contains(err.Error(), "no machine on record") {
		t.Errorf("got %v", err)
	}
}

func TestSweepContinuesAfterARestartOfSkyd(t *testing.T) {
	world.StartWorker(t)
	storeReadyCluster(t, "restarted")
	c, comeBack := newUnreachableClient(t)
	said := 0
	err := c.RetryDuringRestart(t.Context(), func(string) { said++; comeBack() }, func() error {
		_, err := c.SweepClusters(t.Context(), operation.SweepInput{Cluster: "restarted", Again: true})
		return err
	})
	if err != nil || said == 0 {
		t.Errorf("%v after %d notices", err, said)
	}
	tries := 0
	if err := c.RetryDuringRestart(t.Context(), func(string) {}, func() error {
		tries++
		return &NoWorkerError{}
	}); err == nil || tries != 1 {
		t.Errorf("without a worker: %v after %d tries", err, tries)
	}
}
