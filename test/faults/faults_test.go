package faults

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/test/simcloud"
	"github.com/sky-shift/skyctl/test/world"
)

// fault is something that goes wrong, and how it has to end.
type fault struct {
	kind, name string
	home       home
	// try causes the fault in a lane with a worker. The ending is checked afterwards.
	try  func(l *lane)
	ends ending
}

// soon is a deadline that passes within a test. A fault has it for the part of a step that never ends: other parts,
// and other machines, may need longer on a busy computer.
const soon = 20 * time.Second

func allFaults() []fault {
	return slices.Concat(serverFaults(), sshFaults(), shellFaults(), machineFaults(), cloudFaults(), copyFaults(),
		peopleFaults(), stateFaults(), proxyFaults(), addressFaults(), changeFaults(), restoreFaults())
}

// TestFaults tries all faults.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, f := range allFaults() {
		t.Run(strings.ReplaceAll(f.kind+"/"+f.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			results.note(t, key{kind: f.kind, fault: f.name, ends: f.ends.String()})
			l := newLane(t, f.home)
			l.work()
			f.try(l)
			l.holds(f.ends)
		})
	}
}

// sshFaults break connections.
func sshFaults() []fault {
	cut := func(machine int, seen string, after int64, late time.Duration) func(*lane) {
		return func(l *lane) {
			c := l.cloud.CutSSH(l.machine(machine), simcloud.Cut{Seen: seen, After: after, Late: late, Times: 2})
			l.create()
			l.until("the connection is cut", func() bool { return l.cloud.CountCuts(l.machine(machine), c) > 0 })
		}
	}
	return []fault{
		{kind: "SSH", name: "cut while a worker's release is unpacked", try: cut(1, "tar -xzf", 0, time.Millisecond),
			ends: isReady},
		{kind: "SSH", name: "cut during an upload", try: cut(1, "got=$(head -c", 20000, 0), ends: isReady},
		{kind: "SSH", name: "cut during a script", try: cut(0, "unit=rke2-server", -2, 0), ends: isReady},
		{kind: "SSH", name: "cut while the server starts", try: cut(0, "unit=rke2-server", 0, time.Millisecond),
			ends: isReady},
		{kind: "SSH", name: "cut while a worker joins", try: cut(2, "unit=rke2-agent", 0, time.Millisecond),
			ends: isReady},
		{
			kind: "SSH", name: "never answers", ends: isError(1, "Deadline"),
			home: home{settings: func(s *world.WorkerSettings) { s.Deadlines.Reach = soon }},
			try:  func(l *lane) { l.cloud.SilenceSSH(l.machine(1), true); l.create() },
		},
		{
			kind: "SSH", name: "does not answer for a while", ends: isReady,
			try: func(l *lane) {
				l.cloud.SilenceSSH(l.machine(1), true)
				l.create()
				l.until("somebody waits for it", func() bool { return l.killer.ran("Arm") >= size })
				l.cloud.SilenceSSH(l.machine(1), false)
			},
		},
		{
			kind: "SSH", name: "wrong host key", ends: isError(1, "HostKeyMismatch"),
			try: func(l *lane) { l.check(l.cloud.SetImpostor(l.machine(1), true)); l.create() },
		},
	}
}

// machineFaults are machines that fail on the way to READY.
func machineFaults() []fault {
	all := []fault{
		{
			kind: "machine", name: "full disk", ends: isError(1, rke2.DiskTooFull),
			try: func(l *lane) { l.cloud.FillDisk(l.machine(1), true); l.create() },
		},
		{
			kind: "machine", name: "corrupt artifact",
			home: home{settings: func(s *world.WorkerSettings) { s.Release = ownRelease }},
			ends: isError(-1, rke2.ChecksumMismatch),
			try: func(l *lane) {
				l.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpSubmit, Times: 1,
					Do: func(context.Context) error { return l.corruptRelease() }})
				l.create()
			},
		},
		{
			kind: "machine", name: "supervisor answers 503 for long", ends: isReady,
			try: func(l *lane) {
				l.cloud.SetSupervisorBusy(l.machine(0), true)
				l.create()
				l.until("somebody waits for it", func() bool { return l.killer.ran("StartHead") > 0 })
				time.Sleep(span(5*time.Second, 45*time.Second)) // this is the fault
				l.cloud.SetSupervisorBusy(l.machine(0), false)
			},
		},
		{
			kind: "machine", name: "supervisor keeps answering 503", ends: isError(0, "Deadline"),
			home: home{settings: func(s *world.WorkerSettings) { s.Deadlines.Server = soon }},
			try:  func(l *lane) { l.cloud.SetSupervisorBusy(l.machine(0), true); l.create() },
		},
		{
			kind: "machine", name: "name of its Node is taken", ends: isError(1, rke2.DuplicateNode),
			try: func(l *lane) { l.cloud.TakeNodeName(l.machine(1), true); l.create() },
		},
		{
			kind: "machine", name: "agent crashes", ends: isError(2, rke2.UnitFailed),
			try: func(l *lane) { l.cloud.BreakUnit(l.machine(2), "rke2-agent"); l.create() },
		},
	}
	for _, where := range []struct {
		name, seen string
		machine    int
	}{{"install", "tar -xzf", 1}, {"join", "unit=rke2-agent", 1}, {"start of the server", "unit=rke2-server", 0}} {
		for how, off := range map[string]func(*lane, string) error{
			"powered off": func(l *lane, name string) error { return l.cloud.StopMachine(name) },
			"lost":        func(l *lane, name string) error { l.cloud.LoseMachine(name); return nil },
		} {
			all = append(all, fault{
				kind: "machine", name: how + " during " + where.name, ends: isReady,
				try: func(l *lane) {
					name, isOff := l.machine(where.machine), make(chan error, 1)
					l.cloud.CutSSH(name, simcloud.Cut{Seen: where.seen, Late: time.Millisecond, Times: 1,
						Then: func() { isOff <- off(l, name) }})
					l.create()
					l.check(<-isOff)
				},
			})
		}
	}
	return all
}

// ownRelease is replaced by the lane's own release.
const ownRelease = "own"

// corruptRelease changes the release after its checksum was pinned.
func (l *lane) corruptRelease() error {
	found, err := filepath.Glob(filepath.Join(l.place.Settings.Release, "*.tar.gz"))
	if err != nil {
		return err
	}
	for _, name := range found {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		b[len(b)/2] ^= 1
		if err := os.WriteFile(name+".new", b, 0o600); err != nil {
			return err
		}
		if err := os.Rename(name+".new", name); err != nil {
			return err
		}
	}
	return nil
}

// span is how long a fault lasts.
func span(short, patient time.Duration) time.Duration {
	if *long {
		return patient
	}
	return short
}

// cloudFaults are clouds that fail, lag and lie.
func cloudFaults() []fault {
	transient := simcloud.NewRefusal(cloud.Transient)
	deleting := func(befalls func(l *lane)) func(*lane) {
		return func(l *lane) {
			ref := l.ready()
			befalls(l)
			l.remove(ref)
		}
	}
	repairing := func(befalls func(l *lane)) func(*lane) {
		return func(l *lane) {
			l.ready()
			befalls(l)
			l.converge()
		}
	}
	return []fault{
		{kind: "cloud", name: "listing errors during delete", ends: isGone, try: deleting(func(l *lane) {
			l.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpList, Times: 4, Err: transient})
		})},
		{kind: "cloud", name: "listing lags during delete", ends: isGone,
			try: deleting(func(l *lane) { l.cloud.SetListingLag(3 * time.Second) })},
		{kind: "cloud", name: "listing is stale during delete", ends: isGone,
			try: deleting(func(l *lane) { l.cloud.KeepListed(l.machine(1), 5*time.Second) })},
		{kind: "cloud", name: "listing lags during create", ends: isReady, try: func(l *lane) {
			l.cloud.SetListingLag(2 * time.Second)
			l.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpSubmit, Region: "here", Machine: l.machine(2),
				Err: simcloud.NewRefusal(cloud.Capacity)})
			l.create()
			l.until("the cluster is READY", l.settled)
			l.cloud.SetListingLag(0)
		}},
		{kind: "cloud", name: "listing errors during repair", ends: isReady, try: repairing(func(l *lane) {
			l.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpList, Times: 4, Err: transient})
			l.cloud.LoseMachine(l.machine(1))
		})},
		{kind: "cloud", name: "listing is stale during repair", ends: isReady, try: repairing(func(l *lane) {
			l.cloud.KeepListed(l.machine(1), 5*time.Second)
			l.cloud.LoseMachine(l.machine(1))
		})},
		{kind: "cloud", name: "listing lags during repair", ends: isReady, try: repairing(func(l *lane) {
			l.cloud.SetListingLag(3 * time.Second)
			l.cloud.LoseMachine(l.machine(1))
		})},
		{kind: "cloud", name: "launch fails after the machine exists", ends: isReady, try: func(l *lane) {
			l.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpSubmitted, Times: 3, Err: transient})
			ref := l.create()
			l.awaitReady(ref)
			if n := l.cloud.CountLaunches("sky-", ""); n != size {
				l.t.Errorf("%d machines were created", n)
			}
		}},
		{kind: "cloud", name: "launch fails for good after the machine exists",
			ends: isError(1, string(cloud.Infeasible)), try: func(l *lane) {
				l.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpSubmitted, Machine: l.machine(1),
					Err: simcloud.NewRefusal(cloud.Infeasible)})
				l.create()
			}},
		{kind: "cloud", name: "launch hangs", ends: isError(1, "Deadline"),
			home: home{settings: func(s *world.WorkerSettings) { s.Deadlines.Boot = soon }},
			try: func(l *lane) {
				l.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpAwait, Machine: l.machine(1), Hang: true})
				l.create()
			}},
		{kind: "cloud", name: "terminate fails twice", ends: isGone, try: deleting(func(l *lane) {
			l.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpTerminate, Machine: l.machine(1), Times: 2,
				Err: transient})
		})},
		{kind: "cloud", name: "release fails twice", ends: isGone, try: deleting(func(l *lane) {
			l.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpRelease, Times: 2, Err: transient})
		})},
		{kind: "cloud", name: "no placement has enough machines", ends: isError(2, string(cloud.Capacity)),
			try: func(l *lane) {
				l.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpSubmit, Machine: l.machine(2),
					Err: simcloud.NewRefusal(cloud.Capacity)})
				l.create()
			}},
		{kind: "cloud", name: "lists an unknown machine", ends: isReady, try: repairing(func(l *lane) {
			owner := cloud.Owner{Installation: l.installation(), Cluster: l.cluster, ClusterUID: l.find().Metadata.UID}
			l.cloud.AddForeignMachine(cloud.Machine{Owner: owner, Name: l.machine(9), Index: 9, Incarnation: "extra"})
		})},
		{kind: "cloud", name: "another installation's machine has the name", ends: isError(1, string(cloud.Conflict)),
			try: func(l *lane) {
				l.cloud.AddForeignMachine(cloud.Machine{Owner: cloud.Owner{Installation: "another", Cluster: l.cluster,
					ClusterUID: "theirs"}, Name: l.machine(1)})
				l.create()
			}},
		{kind: "cloud", name: "the head is lost",
			ends: ending{phase: api.PhaseError, reasons: []string{string(api.DriftHeadLost)},
				left: size - 1}, try: func(l *lane) {
				l.ready()
				l.cloud.LoseMachine(l.machine(0))
				l.until("the cluster is in ERROR", func() bool {
					l.beginSweep()
					return l.find().Status.Phase == api.PhaseError
				})
			}},
	}
}
