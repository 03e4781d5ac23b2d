package faults

import (
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/world"
)

// snapshotScenes are scenes in which snapshots are taken, kept and deleted, and clusters restored, stopped and started.
var snapshotScenes = []scene{
	{
		name: "snapshot", prepare: (*lane).ready, act: func(l *lane, _ api.Ref) { l.askSnapshot(kept) }, ends: isReady,
		activities: [][]string{{"AssessSnapshots", "TakeSnapshot", "CollectSnapshot", "RecordSnapshots"}}, keeps: true,
	},
	{
		name: "delete of a snapshot", prepare: (*lane).withSnapshot, act: func(l *lane, _ api.Ref) { l.dropSnapshot() },
		ends: isReady, activities: [][]string{{"DeleteSnapshot"}}, keeps: true,
	},
	{
		name: "delete of a cluster with snapshots", prepare: (*lane).withSnapshot, act: (*lane).remove, ends: isGone,
		activities: [][]string{{"DeleteClusterSnapshots"}},
	},
	{
		name: "restore in place", prepare: (*lane).withSnapshot, ends: isReady,
		act: func(l *lane, _ api.Ref) { l.restore(false) },
		activities: [][]string{
			{"BeginRestore", "CheckSnapshot", "SendSnapshot"}, {"MarkRestoring", "StopServer", "RestoreServer"},
			{"CleanRestored", "RejoinWorker", "FinishRestore"},
		},
		also: []string{"StartHead", "AwaitNode"},
	},
	{
		name: "restore of a lost server", ends: isReady, repair: true, concerns: 1,
		prepare: func(l *lane) api.Ref {
			ref := l.withSnapshot()
			l.cloud.LoseMachine(l.machine(0))
			l.wantsState = []string{"before"}
			return ref
		},
		act:        func(l *lane, _ api.Ref) { l.beginSweep() },
		activities: [][]string{{"Terminate", "ConfirmGone", "PlanServer"}},
		also: []string{"Assess", "MarkRestoring", "ReplaceMachine", "Submit", "Await", "Prepare", "SendSnapshot",
			"RestoreServer", "RejoinWorker", "FinishRestore"},
	},
	{
		name: "restore on new machines", prepare: (*lane).withSnapshot, ends: isReady,
		act:        func(l *lane, _ api.Ref) { l.restore(true) },
		activities: [][]string{{"Terminate", "Submit", "RestoreServer"}},
		also:       []string{"MarkRestoring", "Reserve", "SendSnapshot", "Join"},
	},
	{
		name: "restore that fails", prepare: (*lane).withSnapshot, ends: isReady,
		act: func(l *lane, _ api.Ref) {
			l.cloud.FillDisk(l.machine(0), true)
			l.restore(false)
			l.wantsState = nil
		},
		then: func(l *lane, _ api.Ref) {
			l.until("it is given up", func() bool { return !l.busy() && l.find().Status.Restore == nil })
			l.cloud.FillDisk(l.machine(0), false)
		},
		activities: [][]string{{"FailRestore"}},
	},
	{
		name: "stop", prepare: (*lane).withSnapshot, act: (*lane).stop, ends: isStopped,
		activities: [][]string{{"BeginStop", "WantSnapshot", "MarkStopped", "FinishStop"}},
		also:       []string{"TakeSnapshot", "CollectSnapshot", "Terminate"},
	},
	{
		name: "stop that fails", prepare: (*lane).ready, act: (*lane).stop, ends: isReady,
		home: home{settings: func(s *world.WorkerSettings) { s.SnapshotQuota = 10 }},
		then: func(l *lane, _ api.Ref) {
			l.until("it is given up", func() bool { return !l.busy() && l.find().Status.Stop == nil })
		},
		activities: [][]string{{"FailSnapshot", "FailStop"}},
	},
	{
		name: "start", ends: isReady,
		prepare: func(l *lane) api.Ref {
			ref := l.withSnapshot()
			l.stop(ref)
			l.holds(isStopped)
			return ref
		},
		act: func(l *lane, ref api.Ref) {
			l.start(ref)
			l.wantsState = []string{"after", "before"}
		},
		activities: [][]string{{"Submit", "RestoreServer"}},
		also:       []string{"BeginRestore", "CheckSnapshot", "MarkRestoring", "FinishRestore"},
	},
}
