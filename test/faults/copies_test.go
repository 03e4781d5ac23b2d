package faults

import (
	"slices"

	"github.com/sky-shift/skyctl/pkg/api"
)

// copyFaults copy, rename and relabel machines on their cloud. A person resolves each in the end; until then skyctl
// reports it and terminates nothing because of it.
func copyFaults() []fault {
	const kind = "copied machine"
	return []fault{
		{kind: kind, name: "of the head, under another name", ends: isReady, try: func(l *lane) {
			l.ready()
			l.check(second(l.cloud.CopyMachine(l.machine(0), l.copyName())))
			l.onlyReports(l.copyName(), size+1)
			l.cloud.LoseMachine(l.copyName())
		}},
		{kind: kind, name: "of a worker that is then lost", ends: isReady, try: func(l *lane) {
			l.ready()
			l.check(second(l.cloud.CopyMachine(l.machine(1), l.copyName())))
			l.cloud.LoseMachine(l.machine(1))
			l.until("the worker is replaced",
				func() bool { l.beginSweep(); return len(l.machines()) == size+1 && !l.busy() })
			l.onlyReports(l.copyName(), size+1)
			l.cloud.LoseMachine(l.copyName())
		}},
		{kind: kind, name: "takes the name of the head, which is renamed", ends: isReady, try: func(l *lane) {
			l.ready()
			l.check(l.cloud.RenameMachine(l.machine(0), l.copyName()))
			l.check(second(l.cloud.CopyMachine(l.copyName(), l.machine(0))))
			l.onlyReports(l.machine(0), size+1)
			l.cloud.LoseMachine(l.machine(0))
			l.check(l.cloud.RenameMachine(l.copyName(), l.machine(0)))
		}},
		{kind: kind, name: "labels of two workers are swapped", ends: isReady, try: func(l *lane) {
			l.ready()
			records := l.find().Status.Machines
			swap := func(i, j int) { l.check(l.cloud.RelabelMachine(l.machine(i), j, records[j].Incarnation)) }
			swap(1, 2)
			swap(2, 1)
			l.onlyReports(l.machine(1), size)
			swap(1, 1)
			swap(2, 2)
		}},
	}
}

func second[T any](_ T, err error) error { return err }

// copyName is the name of the lane's copies and renamed machines.
func (l *lane) copyName() string { return "backup-of-" + l.cluster }

// onlyReports sweeps several times, and checks that each sweep reports a machine in conflict and changes nothing.
func (l *lane) onlyReports(machine string, there int) {
	l.t.Helper()
	for range 3 {
		sweep := l.sweep()
		if sweep == nil || len(sweep.Drifted) != 1 || sweep.Drifted[0].Started != "" {
			l.t.Fatalf("a sweep finds %+v", sweep)
		}
		told := func(d api.Drift) bool {
			return d.Machine == machine && d.Reason == api.DriftMachineConflict && d.Next != ""
		}
		if !slices.ContainsFunc(sweep.Drifted[0].Drift, told) {
			l.t.Errorf("drift %+v", sweep.Drifted[0].Drift)
		}
		if left := l.machines(); len(left) != there {
			l.t.Fatalf("%d machines exist, want %d: %s", len(left), there, names(left))
		}
	}
}
