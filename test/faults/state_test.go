package faults

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	place "github.com/sky-shift/skyctl/pkg/home"
	"github.com/sky-shift/skyctl/test/devserver"
	"github.com/sky-shift/skyctl/test/simcloud"
	"github.com/sky-shift/skyctl/test/smalldisk"
	"github.com/sky-shift/skyctl/test/world"
)

// stateFaults are state directories that are copied, upgraded and full.
func stateFaults() []fault {
	interrupted := func(op simcloud.Op, begin func(l *lane), befalls func(l *lane)) func(*lane) {
		return func(l *lane) {
			reached, goOn := l.pause(op, l.machine(1))
			begin(l)
			<-reached
			befalls(l)
			close(goOn)
		}
	}
	create := func(l *lane) { l.create() }
	remove := func(l *lane) { l.remove(l.find().Ref()) }
	repair := func(l *lane) { l.cloud.LoseMachine(l.machine(1)); l.beginSweep() }
	first := func(do func(*lane)) func(*lane) {
		return func(l *lane) { l.ready(); do(l) }
	}
	return []fault{
		{kind: "copied state", name: "before a create", home: atHome, ends: isReady, try: func(l *lane) {
			before := l.ready()
			other := l.fork()
			l.remove(before)
			l.until("the cluster is gone", func() bool { return l.find() == nil })
			l.awaitReady(l.create())
			for range 3 { // machines without a cluster in the copy, beyond their grace period
				other.findsOrphans(size)
			}
		}},
		{kind: "copied state", name: "during a create", home: atHome, ends: isReady,
			try: interrupted(simcloud.OpAwait, create, func(l *lane) {
				other := l.fork()
				l.until("the create goes on in the copy", func() bool { return other.waits("Await") })
			})},
		{kind: "copied state", name: "during a delete", home: atHome, ends: isGone,
			try: first(interrupted(simcloud.OpTerminate, remove, func(l *lane) {
				other := l.fork()
				l.until("the delete goes on in the copy", func() bool { return other.waits("Terminate") })
			}))},
		{kind: "full disk under the state", name: "of Temporal during create", home: ownTemporal(400), ends: isReady,
			try: interrupted(simcloud.OpAwait, create, (*lane).fillDisk)},
		{kind: "full disk under the state", name: "of Temporal during delete", home: ownTemporal(400), ends: isGone,
			try: first(interrupted(simcloud.OpTerminate, remove, (*lane).fillDisk))},
		{kind: "upgraded state", name: "Temporal's database set aside during create", home: ownTemporal(0),
			ends: isReady,
			try:  interrupted(simcloud.OpAwait, create, (*lane).upgrade)},
		{kind: "upgraded state", name: "Temporal's database set aside during delete", home: ownTemporal(0),
			ends: isGone,
			try:  first(interrupted(simcloud.OpTerminate, remove, (*lane).upgrade))},
		{kind: "upgraded state", name: "Temporal's database set aside during repair", home: ownTemporal(0),
			ends: isReady,
			try:  func(l *lane) { first(interrupted(simcloud.OpAwait, repair, (*lane).upgrade))(l); l.converge() }},
	}
}

// ownTemporal has its own Temporal, on its own disk if a size is set.
func ownTemporal(mib int) home { return home{temporal: fresh, disk: mib} }

// atHome is the lane's own state directory, with a known home and no grace period for orphans.
var atHome = home{etcd: fresh, temporal: together, settings: func(s *world.WorkerSettings) {
	s.Place, s.OrphanGrace = place.Location{Host: "a", Hostname: "ann", Dir: "/home/ann/.skyconf"}, time.Nanosecond
}}

// together is replaced by the lane's etcd servers.
var together = &devserver.Servers{}

// fork copies the state while no worker runs, and then runs one worker on the original and one on the copy.
func (l *lane) fork() *lane {
	l.t.Helper()
	l.stopWorker()
	servers, err := l.etcd.StartCopy(context.Background(), filepath.Join(l.dir, "copied"), io.Discard)
	l.check(err)
	l.t.Cleanup(servers.Close)
	l.check(l.startWorker())
	other := &lane{
		t: l.t, cluster: l.cluster, dir: filepath.Join(l.dir, "copy"), cloud: l.cloud, killer: l.killer, etcd: servers,
		temporal:   servers,
		toEtcd:     newGate(l.t, strings.TrimPrefix(servers.Config.Etcd.Endpoints[0], "https://")),
		toTemporal: newGate(l.t, servers.Config.Temporal.Address),
		place:      l.place,
	}
	l.check(os.MkdirAll(filepath.Join(other.dir, "home"), 0o700))
	p := &other.place
	p.EtcdEnv, p.TemporalEnv, p.Endpoint, p.Address = servers.Env, servers.Env, "https://"+
		other.toEtcd.address, other.toTemporal.address
	p.Settings.Home, p.Settings.Place.Dir = filepath.Join(other.dir, "home"), "/home/ann/copy"
	p.Settings.Snapshots = filepath.Join(other.dir, "snapshots")
	other.connect()
	other.work()
	return other
}

// findsOrphans checks that a sweep finds orphans and terminates none.
func (l *lane) findsOrphans(n int) {
	l.t.Helper()
	r := l.sweep()
	if r == nil || len(r.Orphans) != n || r.Doubt == nil {
		l.t.Fatalf("the sweep of the copy found %+v", r)
	}
	for _, o := range r.Orphans {
		if !o.TerminateAt.IsZero() || o.State == "terminated" {
			l.t.Errorf("orphan %s is to be terminated at %v, state %s", o.Name, o.TerminateAt, o.State)
		}
	}
}

// waits reports whether a worker runs an activity of the cluster's operation, which waits.
func (l *lane) waits(activity string) bool {
	return world.OperationRuns(l.t.Context(), l.conn, l.cluster, activity)
}

// mountDisk mounts a disk for the lane's Temporal.
func (l *lane) mountDisk(mib int) {
	l.t.Helper()
	dir := filepath.Join(l.dir, "temporal")
	l.check(os.Mkdir(dir, 0o700))
	l.check(smalldisk.MountAt(dir, mib))
	l.t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
}

// fillDisk fills the disk of the lane's Temporal for a while.
func (l *lane) fillDisk() {
	l.t.Helper()
	filling, err := smalldisk.Fill(filepath.Join(l.dir, "temporal"), 0)
	l.check(err)
	time.Sleep(span(8*time.Second, time.Minute)) // this is the fault
	l.check(filling.Free())
}

// upgrade restarts everything with a Temporal of another schema, and starts the first sweep, as the schedule of a new
// Temporal does.
func (l *lane) upgrade() {
	l.t.Helper()
	l.stopWorker()
	l.check(l.temporal.RestartOutdated(context.Background()))
	l.check(l.startWorker())
	l.awaitWorker()  // the connection to Temporal is a while away, too, on a busy computer
	l.sweeping = nil // the new Temporal has no record of it
	l.until("a sweep takes up what was under way", func() bool {
		l.beginSweep()
		return l.busy() || l.settled()
	})
}
