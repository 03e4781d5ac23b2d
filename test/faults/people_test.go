package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/test/world"
)

// ahead makes sweeps do at once what they would delay by half a minute.
func ahead(s *world.WorkerSettings) { s.Ahead = time.Minute }

// peopleFaults are users who change their minds.
func peopleFaults() []fault {
	var all []fault
	for i := range 3 * seeds(*long) {
		late := time.Duration(i*i*40) * time.Millisecond
		all = append(all, fault{
			kind: "people", name: "Ctrl-C during create", home: home{settings: ahead}, ends: isGone,
			try: func(l *lane) {
				ctx, cancel := context.WithTimeout(l.t.Context(), late)
				defer cancel()
				_, _ = l.ops.CreateCluster(ctx, l.wanted(), client.CreateOptions{}) // the result does not matter
				l.either()
			},
		}, fault{
			kind: "people", name: "Ctrl-C during delete", home: home{settings: ahead}, ends: isGone,
			try: func(l *lane) {
				ref := l.ready()
				ctx, cancel := context.WithTimeout(l.t.Context(), late)
				defer cancel()
				_ = l.ops.DeleteCluster(ctx, ref, false, func(string) {}) // whatever came of it
				l.either()
			},
		}, fault{
			kind: "people", name: "two creates and a delete at once", home: home{settings: ahead}, ends: isGone,
			try: func(l *lane) {
				var all sync.WaitGroup
				for _, ops := range []*client.Client{l.ops, l.person()} {
					all.Go(func() { _, _ = ops.CreateCluster(l.t.Context(), l.wanted(), client.CreateOptions{}) })
				}
				all.Go(func() {
					time.Sleep(late) // at any time
					if c := l.find(); c != nil {
						_ = l.ops.DeleteCluster(l.t.Context(), c.Ref(), false, func(string) {})
					}
				})
				all.Wait()
				l.either()
			},
		})
	}
	return all
}

// either waits until the cluster is READY or gone. A READY cluster is checked, and then deleted.
func (l *lane) either() {
	l.t.Helper()
	l.until("it is done or gone", func() bool {
		c := l.find()
		switch {
		case l.busy():
			return false
		case c == nil || c.Status.Phase == api.PhaseReady:
			return true
		}
		l.beginSweep()
		return false
	})
	if c := l.find(); c != nil {
		l.holds(isReady)
		l.remove(c.Ref())
	}
}

// TestRandomDriftIsRepaired causes drift in random order.
func TestRandomDriftIsRepaired(t *testing.T) {
	t.Parallel()
	clusters, rounds := 2, 6
	if *long {
		clusters, rounds = 6, 40
	}
	for seed := range clusters {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			results.note(t, key{kind: "drift", fault: fmt.Sprintf("%d rounds in random order", rounds),
				ends: isReady.String()})
			l := newLane(t, home{settings: func(s *world.WorkerSettings) {
				s.OrphanGrace = time.Nanosecond
				s.Policy.Restarts, s.Policy.Replacements = 1000, 1000
				// machines that never boot are awaited more than once within patience
				s.Deadlines = world.UniformDeadlines(time.Minute)
			}})
			l.work()
			l.ready()
			luck := rand.New(rand.NewPCG(uint64(seed), uint64(time.Now().UnixNano())))
			for range rounds {
				for range 1 + luck.IntN(2) {
					l.befall(luck)
				}
				l.converge()
				l.holds(isReady)
				if t.Failed() {
					return
				}
			}
		})
	}
}

// befall causes random drift that is possible now.
func (l *lane) befall(luck *rand.Rand) {
	l.t.Helper()
	c := l.find()
	any, worker := l.machine(luck.IntN(size)), l.machine(1+luck.IntN(size-1))
	node := c.Status.Machines[luck.IntN(size)].NodeName
	// Only this worker is not Ready for good: where all workers are, the planner replaces none, as it should.
	last := l.machine(size - 1)
	all := []struct {
		name string
		do   func() error
	}{
		{"lose " + worker, func() error { l.cloud.LoseMachine(worker); return nil }},
		{"stop " + any, func() error { return l.cloud.StopMachine(any) }},
		{"fail the unit of " + any, func() error { return l.cloud.StopUnit(any, "failed") }},
		{"stop the unit of " + any, func() error { return l.cloud.StopUnit(any, "inactive") }},
		{"not Ready until a restart: " + any, func() error { return l.cloud.MakeNodeNotReady(any, false) }},
		{"not Ready for good: " + last, func() error { return l.cloud.MakeNodeNotReady(last, true) }},
		{"delete Node " + node, func() error { return l.cloud.DeleteNode(c.Metadata.UID, node) }},
		{"lose the kubeconfig", func() error { return os.Remove(l.kubeconfig()) }},
		{"plant an extra machine", func() error {
			owner := cloud.Owner{Installation: l.installation(), Cluster: l.cluster, ClusterUID: c.Metadata.UID}
			l.cloud.AddForeignMachine(cloud.Machine{Owner: owner, Name: l.machine(7), Index: 7,
				Incarnation: fmt.Sprintf("extra%d", luck.IntN(1e6))})
			return nil
		}},
		{"plant an orphan", func() error {
			l.cloud.AddForeignMachine(cloud.Machine{Owner: cloud.Owner{Installation: l.installation(), Cluster: "past",
				ClusterUID: "uid-past"}, Name: "sky-past-0"})
			return nil
		}},
		{"a listing that is stale about " + worker,
			func() error { l.cloud.KeepListed(worker, 3*time.Second); l.cloud.LoseMachine(worker); return nil }},
		{"kill the worker", func() error { l.kill(); return nil }},
	}
	this := all[luck.IntN(len(all))]
	err := this.do()
	l.t.Logf("%s: %v", this.name, err)
}

// TestWorkersAreKilledAtRandom kills the worker again and again while it works.
func TestWorkersAreKilledAtRandom(t *testing.T) {
	t.Parallel()
	for i := range 2 * seeds(*long) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			results.note(t, key{kind: "worker killed", fault: "three times at random during create and delete",
				ends: isGone.String()})
			l := newLane(t, home{})
			l.work()
			ref := l.create()
			for range 3 {
				time.Sleep(rand.N(2 * time.Second)) // at any time
				l.kill()
			}
			l.holds(isReady)
			l.remove(ref)
			for range 3 {
				time.Sleep(rand.N(time.Second)) // at any time
				l.kill()
			}
			l.holds(isGone)
		})
	}
}
