package faults

import (
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/simcloud"
	"github.com/sky-shift/skyctl/worker"
)

// scene is an operation during which workers are killed.
type scene struct {
	name string
	// prepare does what precedes the operation, without a fault.
	prepare func(l *lane) api.Ref
	// act starts the operation.
	act  func(l *lane, ref api.Ref)
	ends ending
	// activities are the operation's activities. In a row, each starts only after one before it has ended, so that the
	// short form can kill the worker in all of them, one after the other.
	activities [][]string
	// also are activities that another scene covers: only the long form kills the worker in them here.
	also []string
	// repair means that a sweep starts the operation.
	repair bool
	// keeps means that what the schedule of snapshots starts does the operation.
	keeps bool
	// home is where the operation runs.
	home home
	// workflow selects the activities of one workflow type, if it is set.
	workflow string
	// concerns is how many machines the operation changes; 0 is all.
	concerns int
	// then ends what holds the operation up, after the worker was killed.
	then func(l *lane, ref api.Ref)
}

var scenes = []scene{
	{
		name: "create", act: func(l *lane, _ api.Ref) { l.create() }, ends: isReady,
		activities: [][]string{
			{"CheckSpec", "Begin", "Plan", "Reserve"}, {"Submit", "Await", "Arm", "Prepare"},
			{"StartHead", "AwaitServer"}, {"Join", "AwaitNode", "SetCondition"}, {"Disarm", "MarkReady"},
		},
	},
	{
		name: "create, to the next placement", ends: isReady,
		prepare: func(l *lane) api.Ref {
			l.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpSubmit, Region: "here", Machine: l.machine(2),
				Err: simcloud.NewRefusal(cloud.Capacity)})
			return api.Ref{}
		},
		act:        func(l *lane, _ api.Ref) { l.create() },
		activities: [][]string{{"RecordAttempt"}}, also: []string{"Existing", "Terminate", "Release"},
	},
	{
		name: "create that fails", ends: isError(1, string(cloud.Infeasible)),
		prepare: func(l *lane) api.Ref {
			l.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpAwait, Machine: l.machine(1),
				Err: simcloud.NewRefusal(cloud.Infeasible)})
			return api.Ref{}
		},
		act:        func(l *lane, _ api.Ref) { l.create() },
		activities: [][]string{{"Wanted", "MarkFailed"}, {"Diagnose"}},
	},
	{
		name: "create, again", ends: isReady,
		prepare: func(l *lane) api.Ref {
			f := l.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpAwait, Machine: l.machine(1),
				Err: simcloud.NewRefusal(cloud.Infeasible)})
			ref := l.create()
			l.holds(isError(1, string(cloud.Infeasible)))
			l.cloud.EndFault(f)
			return ref
		},
		act:        func(l *lane, _ api.Ref) { l.create() },
		activities: [][]string{{"Survey"}},
	},
	{
		name: "delete", ends: isGone, prepare: (*lane).ready, act: (*lane).remove,
		activities: [][]string{
			{"MarkDeleting", "Existing", "Terminate"}, {"Release", "Forget"},
		},
	},
	{
		name: "create, in a group", act: func(l *lane, _ api.Ref) { l.create() }, ends: isReady,
		workflow: operation.WorkflowBringUp, concerns: size - 1,
		activities: [][]string{{"Submit", "Await", "Arm", "Prepare"}, {"Join", "AwaitNode"}},
	},
}

// repairs are scenes in which a sweep repairs a READY cluster.
var repairs = []scene{
	{
		name:    "a machine that is gone",
		prepare: drift(func(l *lane, _ api.Ref) { l.cloud.LoseMachine(l.machine(1)) }),
		activities: [][]string{
			{"ListClusters", "LookAt", "Assess", "BeginActions"}, {"Retire", "ForgetNode", "ReplaceMachine"},
			{"EndActions", "MarkRepaired"},
		},
		also: []string{"Terminate", "Submit", "Await", "Arm", "Prepare", "Join", "AwaitNode", "Disarm"},
	},
	{
		name:       "a machine that was stopped",
		prepare:    drift(func(l *lane, _ api.Ref) { l.check(l.cloud.StopMachine(l.machine(1))) }),
		activities: [][]string{{"StartMachine"}}, also: []string{"Join", "AwaitNode"},
	},
	{
		name:       "a head that was stopped",
		prepare:    drift(func(l *lane, _ api.Ref) { l.check(l.cloud.StopMachine(l.machine(0))) }),
		activities: [][]string{{"StartHead"}}, also: []string{"StartMachine", "AwaitNode"},
	},
	{
		name: "machines at each other's addresses",
		prepare: drift(func(l *lane, _ api.Ref) {
			l.check(l.cloud.RebootAtNewAddresses(l.machine(0), l.machine(1)))
		}),
		activities: [][]string{{"RecordAddress"}}, also: []string{"StartHead", "Join", "AwaitNode"},
	},
	{
		name:       "a unit that died",
		prepare:    drift(func(l *lane, _ api.Ref) { l.check(l.cloud.StopUnit(l.machine(1), "failed")) }),
		activities: [][]string{{"Restart"}},
	},
	{
		name:       "a kubeconfig that is gone",
		prepare:    drift(func(l *lane, _ api.Ref) { l.check(os.Remove(l.kubeconfig())) }),
		activities: [][]string{{"WriteKubeconfig"}},
	},
	{
		name: "keys that are lost",
		prepare: drift(func(l *lane, ref api.Ref) {
			l.check(l.store.DeleteSecret(l.t.Context(), ref, store.SecretSSHKey))
		}),
		activities: [][]string{{"RestoreKeys"}},
	},
	{
		name: "certificates that end soon",
		prepare: func(l *lane) api.Ref {
			l.cloud.SetCertificateLifetime(l.machine(0), 24*time.Hour)
			return l.ready()
		},
		activities: [][]string{{"RefreshCredentials"}},
	},
	{
		name: "an orphan",
		prepare: drift(func(l *lane, _ api.Ref) {
			l.cloud.AddForeignMachine(cloud.Machine{Owner: cloud.Owner{Installation: l.installation(), Cluster: "past",
				ClusterUID: "uid-past"}, Name: "sky-past-0"})
		}),
		activities: [][]string{{"FindOrphans"}, {"TerminateOrphan"}},
	},
}

// drift is a READY cluster, and something that happens to it.
func drift(befalls func(*lane, api.Ref)) func(*lane) api.Ref {
	return func(l *lane) api.Ref {
		ref := l.ready()
		befalls(l, ref)
		return ref
	}
}

func allScenes() []scene {
	all := slices.Concat(scenes, changes, snapshotScenes, verifications)
	for _, s := range repairs {
		s.name, s.ends, s.repair, s.concerns = "repair of "+s.name, isReady, true, 1
		s.act = func(l *lane, _ api.Ref) { l.beginSweep() }
		all = append(all, s)
	}
	return all
}

const noAccelerators = "the simulated machines have no accelerators"

// onlyFormer excuses the activities that only a Repair of the version before runs.
const onlyFormer = "only a Repair that the version before started runs it; test/integration resumes one"

// unkilled lists the activities that no scene covers, and why.
var unkilled = map[string]string{
	"BeginRepair": onlyFormer, "EndRepair": onlyFormer,
	"Check":             "it only asks, for skyctl check, and changes nothing",
	"CheckLost":         "it only asks whether a head is there, before a create that fails says why",
	"Adopt":             "lanes have no home in doubt; that it may run twice is shown in test/integration",
	"ListLocalData":     "it only asks, before skyctl stop cluster asks the person",
	"CheckSnapshotFile": "it only reads",
	"CheckServing":      "it only asks whether the API answers, before a restore keeps the state",
	"CheckMachines":     "it only reads, for skyctl check --cluster",
	"StartDueSnapshots": "it only starts KeepSnapshots, once; the schedule tries again",
	"ProbeGPUs":         noAccelerators, "ApplyGPUs": noAccelerators, "AwaitGPUs": noAccelerators,
	"TryGPU": noAccelerators,
}

// TestEveryActivityIsKilled compares the scenes with the activities that a worker registers.
func TestEveryActivityIsKilled(t *testing.T) {
	var listed []string
	for _, s := range allScenes() {
		listed = slices.Concat(listed, slices.Concat(s.activities...), s.also)
	}
	all := registered()
	for _, name := range all {
		_, excused := unkilled[name]
		if slices.Contains(listed, name) == excused {
			t.Errorf("activity %s: in a scene %t, excused %t", name, !excused, excused)
		}
	}
	for _, name := range listed {
		if !slices.Contains(all, name) {
			t.Errorf("there is no activity %s", name)
		}
	}
}

// registered returns the names of a worker's activities, as Temporal's SDK finds them.
func registered() []string {
	var all []string
	acts := reflect.TypeFor[worker.Activities]()
	for i := range acts.NumField() {
		of := acts.Field(i).Type
		for m := range of.NumMethod() {
			all = append(all, of.Method(m).Name)
		}
	}
	return all
}

// String describes the ending.
func (e ending) String() string {
	switch e.phase {
	case "":
		return "gone"
	case api.PhaseError:
		return "ERROR"
	}
	return string(e.phase)
}
