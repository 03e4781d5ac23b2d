package faults

import (
	"errors"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/simcloud"
	"github.com/sky-shift/skyctl/test/world"
)

// changeFaults are changes of a cluster at bad times.
func changeFaults() []fault {
	launching := func(befalls func(l *lane, ref api.Ref)) func(*lane) {
		return func(l *lane) {
			ref := l.ready()
			reached, goOn := l.pause(simcloud.OpAwait, l.machine(size))
			l.scale(size + 2)
			<-reached
			befalls(l, ref)
			close(goOn)
		}
	}
	draining := func(befalls func(l *lane, ref api.Ref)) func(*lane) {
		return func(l *lane) {
			ref := l.ready()
			l.addPods(ref)
			l.allowEvictions(ref, false)
			l.scale(size - 1)
			l.until("somebody drains it", func() bool { return l.killer.ran("DrainMachine") > 0 })
			befalls(l, ref)
		}
	}
	return []fault{
		{kind: "change", name: "while skyd is down", ends: isReadyWith(size + 1), try: func(l *lane) {
			l.ready()
			l.stopWorker()
			l.scale(size + 3)
			l.scale(size + 1)
			l.check(l.startWorker())
		}},
		{kind: "change", name: "to fewer machines in a launch", ends: isReadyWith(size + 1),
			try: launching(func(l *lane, _ api.Ref) { l.scale(size + 1) })},
		{kind: "change", name: "to more machines in a launch", ends: isReadyWith(size + 3),
			try: launching(func(l *lane, _ api.Ref) {
				l.scale(size + 3)
				l.until("the further machine is Ready", func() bool { return l.isMachineReady(size + 2) })
			})},
		{kind: "change", name: "to fewer machines in a launch while skyd is down", ends: isReady,
			try: launching(func(l *lane, _ api.Ref) {
				l.stopWorker()
				l.scale(size)
				l.check(l.startWorker())
			})},
		{kind: "change", name: "to more machines in a drain", ends: isReadyWith(size + 1),
			try: draining(func(l *lane, ref api.Ref) {
				l.scale(size + 1)
				l.until("the further machines are Ready", func() bool {
					return l.isMachineReady(size) && l.isMachineReady(size+1)
				})
				l.allowEvictions(ref, true)
			})},
		{kind: "change", name: "to more machines in a drain while skyd is down", ends: isReady,
			try: draining(func(l *lane, ref api.Ref) {
				l.stopWorker()
				l.scale(size)
				l.allowEvictions(ref, true)
				l.check(l.startWorker())
			})},
		{kind: "change", name: "delete in a launch", ends: isGone,
			try: launching(func(l *lane, ref api.Ref) { l.remove(ref) })},
		{kind: "change", name: "delete in a drain", ends: isGone,
			try: draining(func(l *lane, ref api.Ref) { l.remove(ref) })},
		{kind: "change", name: "delete of a machine in its replacement's drain", ends: isReadyWith(size - 1),
			try: func(l *lane) {
				ref := l.ready()
				l.addPods(ref)
				l.allowEvictions(ref, false)
				replaced(l, ref)
				l.until("somebody drains it", func() bool { return l.killer.ran("DrainMachine") > 0 })
				l.change(func(c *api.Cluster) error { return c.DeleteMachine(l.machine(1)) })
				l.until("the replacement is called off", func() bool { return l.killer.ran("UncordonNode") > 0 })
				l.allowEvictions(ref, true)
			}},
		{kind: "change", name: "to fewer machines while one never comes", ends: isReady, home: home{
			settings: func(s *world.WorkerSettings) { s.Deadlines = world.UniformDeadlines(2 * patience) },
		}, try: func(l *lane) {
			l.ready()
			never := l.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpAwait, Machine: l.machine(size), Hang: true})
			l.scale(size + 1)
			l.until("somebody waits for it", func() bool { return l.cloud.CountFaultHits(never) > 0 })
			l.scale(size)
		}},
		{kind: "change", name: "without capacity until fewer machines are wanted", ends: isReady, try: func(l *lane) {
			l.ready()
			full := l.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpSubmit, Machine: l.machine(size),
				Err: simcloud.NewRefusal(cloud.Capacity)})
			l.scale(size + 1)
			l.until("it was tried", func() bool { return l.cloud.CountFaultHits(full) > 1 })
			l.scale(size)
		}},
		{kind: "change", name: "to fewer machines between reservation and launch", ends: isReady, try: func(l *lane) {
			l.ready()
			stopped := l.stopAt(blow{activity: "AddMachines", moment: world.AfterActivity})
			l.scale(size + 2)
			stopped()
			if c := l.find(); len(c.Status.Machines) != size+2 || len(l.machines()) != size {
				l.t.Errorf("%d machines are reserved, and %d there", len(c.Status.Machines), len(l.machines()))
			}
			l.scale(size)
			l.check(l.startWorker())
			l.until("the change is made", func() bool { return !l.busy() })
			if n := len(l.cloud.LaunchedMachines()); n != size {
				l.t.Errorf("%d machines were launched", n)
			}
		}},
		{kind: "change", name: "two people at once", ends: isReadyWith(size + 1), try: func(l *lane) {
			l.ready()
			l.before = l.find()
			l.wishAtOnce(false)
		}},
		{kind: "change", name: "two people at once, who insist", ends: isReadyWith(size + 1), try: func(l *lane) {
			l.ready()
			l.before = l.find()
			l.wishAtOnce(true)
		}},
	}
}

// isMachineReady reports whether the machine with an index is recorded as Ready.
func (l *lane) isMachineReady(index int) bool {
	m := l.find().FindMachine(l.machine(index))
	return m != nil && m.State == api.MachineReady
}

// stopAt stops the worker at a blow, and does not restart it. It returns what waits for that.
func (l *lane) stopAt(b blow) (wait func()) {
	l.t.Helper()
	l.killer.kill = func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.closed = true
		_ = l.worker.Kill()
	}
	l.killer.arm(b)
	return func() {
		l.t.Helper()
		l.until("the worker is killed", l.killer.hasStruck)
		l.stopWorker()
		l.killer.kill = l.kill
	}
}

// wishAtOnce lets two people scale the cluster at once. Both have seen the same; if they insist, each tries again until
// it is recorded. The last wish comes true, and afterwards a person scales to one more than the size of lanes.
func (l *lane) wishAtOnce(insist bool) {
	l.t.Helper()
	wishes := []int{size - 1, size + 2}
	var mu sync.Mutex
	recorded := map[int64]int{} // the wishes by generation
	var all sync.WaitGroup
	for i, ops := range []*client.Client{l.ops, l.person()} {
		all.Go(func() {
			for seen := l.before; ; {
				r, err := ops.ChangeSpec(l.t.Context(), seen,
					func(c *api.Cluster) error { return c.Spec.ScaleTo(wishes[i]) })
				conflict := new(store.SpecConflictError)
				if errors.As(err, &conflict) && !insist {
					return
				}
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					recorded[r.Cluster.Metadata.Generation] = wishes[i]
					return
				}
				if !errors.As(err, &conflict) {
					l.t.Errorf("wish for %d: %v", wishes[i], err)
					return
				}
				time.Sleep(askEvery)
				if seen, err = l.store.ReadCluster(l.t.Context(), l.cluster); err != nil {
					l.t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	generation := l.before.Metadata.Generation + 1
	if insist {
		generation++
	}
	last, ok := recorded[generation]
	if c := l.find(); !ok || int64(len(recorded)) != generation-l.before.Metadata.Generation ||
		c.Metadata.Generation != generation {
		l.t.Fatalf("generation %d; recorded %v", c.Metadata.Generation, recorded)
	}
	l.holds(isReadyWith(last))
	l.scale(size + 1)
}
