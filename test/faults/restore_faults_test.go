package faults

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/test/simcloud"
	"github.com/sky-shift/skyctl/test/world"
)

// restoreFaults are restores and stops at bad times.
func restoreFaults() []fault {
	all := lostServerFaults()
	return append(all, append(snapshotFileFaults(), stopFaults()...)...)
}

// lostServerFaults are clouds that lie about a server that is lost, or seems to be, and that has a snapshot.
func lostServerFaults() []fault {
	const kind = "lost server"
	losing := func(befalls func(l *lane)) func(*lane) {
		return func(l *lane) {
			l.withSnapshot()
			befalls(l)
			l.awaitRestored()
		}
	}
	// launching pauses the restore in the launch of the new server.
	launching := func(befalls func(l *lane)) func(*lane) {
		return func(l *lane) {
			l.withSnapshot()
			reached, goOn := l.pause(simcloud.OpAwait, l.machine(0))
			l.cloud.LoseMachine(l.machine(0))
			l.untilSwept("the new server is launched", closed(reached))
			befalls(l)
			close(goOn)
			l.awaitRestored()
		}
	}
	return []fault{
		{kind: kind, name: "the list lacks one that serves", ends: isReady, try: func(l *lane) {
			l.withSnapshot()
			head := l.findRecord(l.machine(0))
			l.check(l.cloud.HideMachine(head.CloudID, true))
			l.sweepFor(3 * l.place.Settings.Policy.NotReadyFor)
			l.check(l.cloud.HideMachine(head.CloudID, false))
			l.converge()
			if now := l.findRecord(l.machine(0)); now.Incarnation != head.Incarnation ||
				l.find().Status.Restore != nil {
				l.t.Errorf("the head is %+v, and was %+v", now, head)
			}
		}},
		{kind: kind, name: "the list lacks one that is silent", ends: isReady, try: losing(func(l *lane) {
			head := l.findRecord(l.machine(0))
			l.check(l.cloud.HideMachine(head.CloudID, true))
			l.check(l.cloud.BlockAPI(head.Name, true))
			l.cloud.SilenceSSH(head.Name, true)
			l.untilSwept("it is ended by its id", l.isGoneByID(head.CloudID))
			l.cloud.SilenceSSH(head.Name, false)
		})},
		{kind: kind, name: "the list has it for a while", ends: isReady, try: losing(func(l *lane) {
			l.cloud.KeepListed(l.machine(0), 5*time.Second)
			l.cloud.LoseMachine(l.machine(0))
		})},
		{kind: kind, name: "the list lags", ends: isReady, try: losing(func(l *lane) {
			l.cloud.SetListingLag(2 * time.Second)
			l.cloud.LoseMachine(l.machine(0))
			l.untilSwept("it is restored", l.isRestored)
			l.cloud.SetListingLag(0)
		})},
		{kind: kind, name: "the list fails in the launch of the new one", ends: isReady, try: launching(func(l *lane) {
			l.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpList, Times: 4,
				Err: simcloud.NewRefusal(cloud.Transient)})
		})},
		{kind: kind, name: "the list lacks the new one for a while", ends: isReady, try: launching(func(l *lane) {
			fresh := l.cloud.ExistingMachines(l.machine(0))[0]
			l.check(l.cloud.HideMachine(fresh.ID, true))
			time.AfterFunc(5*time.Second, func() { _ = l.cloud.HideMachine(fresh.ID, false) })
		})},
		{kind: kind, name: "the old one comes back in the launch of the new one", ends: isReady,
			try: func(l *lane) {
				l.withSnapshot()
				old := l.findRecord(l.machine(0))
				l.cloud.SurviveTermination(old.Name)
				l.check(l.cloud.HideMachine(old.CloudID, true))
				l.check(l.cloud.BlockAPI(old.Name, true))
				l.cloud.SilenceSSH(old.Name, true)
				reached, goOn := l.pause(simcloud.OpAwait, old.Name)
				l.untilSwept("the new server is launched", closed(reached))
				l.cloud.SilenceSSH(old.Name, false)
				l.check(l.cloud.HideMachine(old.CloudID, false))
				close(goOn)
				l.untilSwept("it is restored", l.isRestored)
				l.isServedByOthersThan(old)
				l.onlyReports(old.Name, size+1)
				l.cloud.LoseMachine(old.Name) // the old one: it was there first
				if !l.isGoneByID(old.CloudID)() {
					l.t.Fatal("the old server is not the one that is gone")
				}
				l.awaitRestored()
			}},
		{kind: kind, name: "no machine for the new one for a while", ends: isReady, try: losing(func(l *lane) {
			f := l.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpSubmit, Machine: l.machine(0),
				Err: simcloud.NewRefusal(cloud.Capacity)})
			l.cloud.LoseMachine(l.machine(0))
			l.until("it was refused often", func() bool { l.beginSweep(); return l.cloud.CountFaultHits(f) >= 4 })
			l.cloud.EndFault(f)
		})},
		{kind: kind, name: "the new one is lost too", ends: isReady, try: losing(func(l *lane) {
			c := l.cloud.CutSSH(l.machine(0), simcloud.Cut{Seen: "unit=rke2-server", Late: time.Millisecond, Times: 1})
			l.cloud.LoseMachine(l.machine(0))
			l.untilSwept("the new one starts", func() bool { return l.cloud.CountCuts(l.machine(0), c) > 0 })
			l.cloud.LoseMachine(l.machine(0))
		})},
		{kind: kind, name: "a worker is lost too", ends: isReady, try: launching(func(l *lane) {
			l.cloud.LoseMachine(l.machine(1))
		})},
		{kind: kind, name: "etcd is away in the launch of the new one", ends: isReady, try: launching(func(l *lane) {
			l.toEtcd.set(true)
			time.Sleep(span(8*time.Second, time.Minute)) // this is the fault
			l.toEtcd.set(false)
		})},
		{kind: kind, name: "delete in the launch of the new one", ends: isGone, try: func(l *lane) {
			ref := l.withSnapshot()
			reached, goOn := l.pause(simcloud.OpAwait, l.machine(0))
			l.cloud.LoseMachine(l.machine(0))
			l.untilSwept("the new server is launched", closed(reached))
			l.remove(ref)
			close(goOn)
		}},
	}
}

// snapshotFileFaults are files of snapshots, disks and keys that fail a restore.
func snapshotFileFaults() []fault {
	const kind = "restore"
	// damaged is a lost server whose snapshot cannot be used. No machine is changed, and the cluster goes to ERROR.
	damaged := func(name string, damage func(file string) error) fault {
		return fault{kind: kind, name: "of a lost server from a " + name + " file",
			ends: ending{phase: api.PhaseError, reasons: []string{string(api.DriftHeadLost)}, left: size - 1},
			home: home{settings: func(s *world.WorkerSettings) { s.Policy.Replacements = 2 }}, try: func(l *lane) {
				l.withSnapshot()
				head := l.findRecord(l.machine(0))
				for _, name := range l.vaultFiles() {
					l.check(damage(filepath.Join(l.place.Settings.Snapshots, name)))
				}
				l.snapshotsBroken = true
				l.cloud.LoseMachine(l.machine(0))
				l.untilSwept("the cluster is in ERROR", func() bool { return l.find().Status.Phase == api.PhaseError })
				if now := l.findRecord(l.machine(0)); now.Incarnation != head.Incarnation {
					l.t.Errorf("the head was replaced by %+v", now)
				}
				if f := l.find().Status.Failure; !strings.Contains(f.Message, " is "+name+": ") {
					l.t.Errorf("the failure does not name the snapshot: %+v", f)
				}
			}}
	}
	return []fault{
		damaged("damaged", func(file string) error {
			b, err := os.ReadFile(file) //nolint:gosec // of the lane
			if err != nil {
				return err
			}
			b[len(b)/2] ^= 1
			return os.WriteFile(file, b, 0o600)
		}),
		damaged("missing", os.Remove),
		{kind: kind, name: "in place, with another token", ends: isReady, try: func(l *lane) {
			ref := l.withSnapshot()
			token, err := l.store.ReadSnapshotToken(l.t.Context(), ref, kept)
			l.check(err)
			l.check(l.store.PutSnapshotToken(l.t.Context(), ref, kept, []byte("K10wrong::server:wrong")))
			l.restore(false)
			l.holds(ending{phase: api.PhaseError, machine: 0, reasons: []string{rke2.WrongToken}, left: size})
			l.check(l.store.PutSnapshotToken(l.t.Context(), ref, kept, token))
			l.restore(false)
		}},
		{kind: kind, name: "in place, on a full disk", ends: isReady, try: func(l *lane) {
			ref := l.withSnapshot()
			l.cloud.FillDisk(l.machine(0), true)
			l.restore(false)
			l.until("it has failed", func() bool { return !l.busy() && l.find().Status.Restore == nil })
			if there := l.cloud.ReadObjects(ref.UID); len(there) != 2 {
				l.t.Errorf("the cluster has %v", there)
			}
			l.cloud.FillDisk(l.machine(0), false)
			l.restore(false)
		}},
		{kind: kind, name: "on new machines, while skyd's directory is away", ends: isReady, try: func(l *lane) {
			l.withSnapshot()
			dir := l.place.Settings.Snapshots
			reached, goOn := l.pause(simcloud.OpAwait, l.machine(0))
			l.restore(true)
			<-reached
			l.check(os.Rename(dir, dir+".away"))
			l.check(os.WriteFile(dir, nil, 0o600))
			close(goOn)
			l.until("it is looked for", func() bool { return l.killer.ran("SendSnapshot") > 0 })
			time.Sleep(span(4*time.Second, time.Minute)) // this is the fault
			l.check(os.Remove(dir))
			l.check(os.Rename(dir+".away", dir))
		}},
	}
}

// stopFaults are stops that must not end a machine before the snapshot is safe.
func stopFaults() []fault {
	const kind = "stop"
	return []fault{
		{kind: kind, name: "without room for the snapshot", ends: isReady,
			home: home{settings: func(s *world.WorkerSettings) { s.SnapshotQuota = 10 }}, try: func(l *lane) {
				l.stop(l.ready())
				l.until("the stop is given up", func() bool { return !l.busy() && l.find().Status.Stop == nil })
			}},
		{kind: kind, name: "then a start in another place", ends: isReady, try: func(l *lane) {
			ref := l.withSnapshot()
			was := l.find().Status.Placement.Region
			l.stop(ref)
			l.holds(isStopped)
			l.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpSubmit, Region: was,
				Err: simcloud.NewRefusal(cloud.Capacity)})
			l.start(ref)
			l.wantsState = []string{"after", "before"}
			l.until("it is READY", func() bool { return l.find().Status.Phase == api.PhaseReady && !l.busy() })
			if now := l.find().Status.Placement.Region; now == was {
				l.t.Errorf("it is started in %s", now)
			}
		}},
	}
}

// untilSwept sweeps until something is so.
func (l *lane) untilSwept(what string, holds func() bool) {
	l.t.Helper()
	l.until(what, func() bool {
		if holds() {
			return true
		}
		if !l.busy() {
			l.beginSweep()
		}
		return false
	})
}

// sweepFor sweeps for some time, in which nothing must be restored.
func (l *lane) sweepFor(d time.Duration) {
	l.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(askEvery) {
		l.sweep()
		if c := l.find(); c.Status.Restore != nil || c.Status.Phase != api.PhaseReady {
			l.t.Fatalf("the cluster is %s, restore %+v", c.Status.Phase, c.Status.Restore)
		}
	}
}

// closed reports whether a channel is closed.
func closed(c <-chan struct{}) func() bool {
	return func() bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
}

// isRestored reports whether the cluster was restored.
func (l *lane) isRestored() bool {
	c := l.find()
	return c.Status.Restored != nil && c.Status.Restore == nil && c.Status.Phase == api.PhaseReady
}

// awaitRestored sweeps until the cluster is restored and in sync. It has to have the state of the snapshot then.
func (l *lane) awaitRestored() {
	l.t.Helper()
	l.wantsState = []string{"before"}
	l.untilSwept("it is restored", l.isRestored)
	l.converge()
}

// isGoneByID reports whether a machine with an id is gone.
func (l *lane) isGoneByID(id string) func() bool {
	return func() bool {
		return !slices.ContainsFunc(l.machines(), func(m cloud.Machine) bool { return m.ID == id })
	}
}

// isServedByOthersThan checks that the workers and people use the new server, while an old one runs, too.
func (l *lane) isServedByOthersThan(old *api.Machine) {
	l.t.Helper()
	c := l.find()
	head, err := c.Head()
	l.check(err)
	if head.Incarnation == old.Incarnation || !strings.Contains(c.Status.Endpoint, head.Address) {
		l.t.Errorf("the head is %+v, the API is at %s; the old one was %+v", head, c.Status.Endpoint, old)
	}
	for _, m := range c.Status.Machines {
		if m.HasOutdatedConfig(head) {
			l.t.Errorf("%s is configured for %s, and the head is at %s", m.Name, m.ConfiguredFor, head.Address)
		}
	}
	nodes, _, _ := l.cloud.ListNodes(c.Metadata.UID)
	if len(nodes) != size || slices.Contains(nodes, old.NodeName) {
		l.t.Errorf("the new server has the Nodes %q", nodes)
	}
}
