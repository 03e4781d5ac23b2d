package plan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/plan"
)

// resize requests a number of machines of the default pool.
func (s *scene) resize(replicas int) { s.c.Spec.Pools[0].Replicas = replicas }

// fresh makes a machine one that is added to its pool and was never Ready.
func (s *scene) fresh(i int, st api.MachineState) {
	s.record(i).State, s.record(i).ReadyAt = st, time.Time{}
	s.noNode(i)
	if st == api.MachineReserved || st == api.MachineLaunching {
		s.unlist(i)
	}
}

// running makes an action run on a machine.
func (s *scene) running(kind api.ActionKind, i int) {
	m := s.record(i)
	s.w.InFlight = append(s.w.InFlight, api.Action{Kind: kind, Index: i, Machine: m.Name, Incarnation: m.Incarnation,
		Pool: m.PoolName()})
}

// node changes what the API says of a machine's Node.
func (s *scene) node(i int, change func(*plan.Node)) {
	n := s.w.Nodes[s.record(i).NodeName]
	change(&n)
	s.w.Nodes[s.record(i).NodeName] = n
}

func TestPoolsAreScaled(t *testing.T) {
	hold(t, []rule{
		{"one machine is missing", func(s *scene) { s.resize(4) }, "AddMachines",
			"MachineMissing: machines are added", ""},
		{"machines of two pools are missing", func(s *scene) {
			s.resize(4)
			s.c.Spec.Pools = append(s.c.Spec.Pools, api.Pool{Name: "gpu", Replicas: 2})
		}, "AddMachines, AddMachines", "", ""},
		{"while the API is silent", func(s *scene) { s.resize(4); s.silent(); s.unit(0, "active") }, "AddMachines",
			"", ""},
		{"while the cloud is silent", func(s *scene) { s.resize(4); s.w.CloudError = "503" }, "", "", ""},
		{"while machines are being added", func(s *scene) {
			s.resize(4)
			s.w.InFlight = []api.Action{{Kind: api.ActionAddMachines, Index: -1, Pool: "default"}}
		}, "", "MachineMissing: machines are being added", ""},
		{"while another pool grows", func(s *scene) {
			s.resize(4)
			s.w.InFlight = []api.Action{{Kind: api.ActionAddMachines, Index: -1, Pool: "gpu"}}
		}, "AddMachines", "", ""},
		{"after a failure", func(s *scene) { s.resize(4); s.added("IndexesUsedUp") }, "",
			"MachineMissing: machines are added at 12:03:00Z", ""},
		{"right after a success", func(s *scene) { s.resize(4); s.added("") }, "AddMachines", "", ""},
		{"after many successes", func(s *scene) {
			s.resize(4)
			for range 10 {
				s.added("")
			}
		}, "", "MachineMissing: machines are added at 12:03:00Z", ""},
		{"a machine that is on its way counts", func(s *scene) {
			s.fresh(3, api.MachineLaunching)
		}, "BringUp sky-x-3", "sky-x-3 MachineMissing: it is brought up", ""},
		{"the cloud has no capacity for it", func(s *scene) {
			s.fresh(3, api.MachineLaunching)
			for i := range 9 {
				s.repaired(api.ActionBringUp, 3, time.Duration(90-10*i)*time.Minute, "no capacity")
			}
		}, "", "sky-x-3 MachineMissing: it is brought up at 12:11:00Z", ""},
		{"the cloud has no capacity for a replacement", func(s *scene) {
			s.fresh(3, api.MachineReserved)
			s.record(3).Replacement = true
			for i := range 9 {
				s.repaired(api.ActionBringUp, 3, time.Duration(90-10*i)*time.Minute, "no capacity")
			}
		}, "", "sky-x-3 MachineUnready: it is brought up at 12:11:00Z", ""},
		{"one too many", func(s *scene) { s.resize(2) }, "Remove sky-x-3", "sky-x-3 MachineSurplus: it is removed", ""},
		{"all workers are too many", func(s *scene) { s.resize(0) },
			"Remove sky-x-1, Remove sky-x-2, Remove sky-x-3", "", ""},
		{"one too many while the API is silent", func(s *scene) { s.resize(2); s.silent(); s.unit(0, "active") }, "",
			"sky-x-3 MachineSurplus: it is removed once the Kubernetes API answers", ""},
		{"one too many that was never up, while the API is silent", func(s *scene) {
			s.resize(2)
			s.fresh(1, api.MachineUp)
			s.silent()
			s.unit(0, "active")
		}, "Remove sky-x-1", "", ""},
		{"a removal failed", func(s *scene) {
			s.resize(2)
			s.record(3).Leaving = api.LeaveScaledDown
			s.repaired(api.ActionRemove, 3, 2*time.Minute, "pods are left")
		}, "", "sky-x-3 MachineSurplus: it is removed at 12:04:00Z", ""},
		{"a removal failed often", func(s *scene) {
			s.record(3).Leaving = api.LeaveDeleted
			s.resize(2)
			for i := range 9 {
				s.repaired(api.ActionRemove, 3, time.Duration(120-10*i)*time.Minute, "pods are left")
			}
		}, "", "sky-x-3 MachineSurplus: it is removed at", ""},
		{"a removed pool", func(s *scene) {
			s.c.Spec.Pools = nil
		}, "Remove sky-x-1, Remove sky-x-2, Remove sky-x-3", "", ""},
		{"a machine that leaves and is gone from the cloud", func(s *scene) {
			s.record(2).Leaving = api.LeaveDeleted
			s.resize(2)
			s.gone(2)
			s.record(2).State = api.MachineGone
		}, "Remove sky-x-2", "", ""},
		{"a machine that leaves and is missed", func(s *scene) {
			s.record(2).Leaving = api.LeaveDeleted
		}, "AddMachines, Remove sky-x-2", "", ""},
		{"the head is never removed", func(s *scene) {
			s.record(0).Leaving = api.LeaveDeleted
			s.record(0).ReplaceAsked = true
		}, "", "", ""},
		{"a machine that may be a copy is kept", func(s *scene) {
			s.resize(2)
			s.record(3).CloudID, s.w.Listed[3].ID = "i-3", "i-4"
		}, "Remove sky-x-2", "sky-x-3 MachineConflict", ""},
		{"one that leaves and may be a copy", func(s *scene) {
			s.resize(2)
			s.record(3).Leaving = api.LeaveScaledDown
			s.record(3).CloudID, s.w.Listed[3].ID = "i-3", "i-4"
		}, "", "sky-x-3 MachineConflict: it is removed once this is fixed on the cloud", ""},
		{"paused", func(s *scene) { s.resize(2); s.c.Status.PausedAt = noon }, "",
			"MachineSurplus: no action: repairs are paused", ""},
	})
}

// added records that machines were added to the default pool three minutes ago, which took a minute.
func (s *scene) added(outcome string) {
	s.repaired(api.ActionAddMachines, -1, 3*time.Minute, outcome)
	s.c.Status.Repairs[len(s.c.Status.Repairs)-1].Action.Pool = "default"
}

func TestTheLeastHarmfulMachineIsRemoved(t *testing.T) {
	for _, c := range []struct {
		name  string
		scene func(*scene)
		want  string
	}{
		{"the newest", func(*scene) {}, "Remove sky-x-3"},
		{"the emptiest", func(s *scene) {
			s.node(1, func(n *plan.Node) { n.Pods = 2 })
			s.node(2, func(n *plan.Node) { n.Pods = 1 })
			s.node(3, func(n *plan.Node) { n.Pods = 9 })
		}, "Remove sky-x-2"},
		{"cordoned rather than empty", func(s *scene) {
			s.node(1, func(n *plan.Node) { n.Cordoned, n.Pods = true, 40 })
		}, "Remove sky-x-1"},
		{"not Ready rather than cordoned", func(s *scene) {
			s.node(1, func(n *plan.Node) { n.Cordoned = true })
			s.notReady(2, time.Minute)
		}, "Remove sky-x-2"},
		{"unfinished rather than not Ready", func(s *scene) {
			s.notReady(2, time.Minute)
			s.fresh(1, api.MachinePrepared)
		}, "Remove sky-x-1"},
		{"outdated rather than empty", func(s *scene) {
			s.launchedWith("2+", "2+")
			s.record(1).Spec.CPUs = "4+"
			s.node(1, func(n *plan.Node) { n.Pods = 40 })
		}, "Remove sky-x-1"},
		{"to be replaced rather than empty", func(s *scene) {
			s.record(2).ReplaceAsked = true
			s.node(2, func(n *plan.Node) { n.Pods = 40 })
		}, "Remove sky-x-2"},
		{"cordoned rather than outdated", func(s *scene) {
			s.launchedWith("2+", "2+")
			s.record(1).Spec.CPUs = "4+"
			s.node(2, func(n *plan.Node) { n.Cordoned = true })
		}, "Replace sky-x-1, Remove sky-x-2"},
		{"one that leaves anyway", func(s *scene) { s.record(1).Leaving = api.LeaveDeleted }, "Remove sky-x-1"},
		{"one that is being removed", func(s *scene) { s.running(api.ActionRemove, 2) }, ""},
	} {
		s := newScene(4)
		s.resize(2)
		c.scene(s)
		if d := check(t, s); actions(d) != c.want {
			t.Errorf("%s: %q, want %q\n%s", c.name, actions(d), c.want, drift(d))
		}
	}
}

func TestActionsInFlight(t *testing.T) {
	restarting := func(s *scene) {
		s.notReady(1, time.Hour)
		s.unit(1, "active")
		s.running(api.ActionRestart, 1)
	}
	hold(t, []rule{
		{"a machine is being restarted", restarting, "", "sky-x-1 NodeNotReady: RKE2 is being restarted", ""},
		{"another one needs a restart", func(s *scene) {
			restarting(s)
			s.notReady(2, time.Hour)
			s.unit(2, "failed")
		}, "Restart sky-x-2", "", ""},
		{"a slow bring-up holds up nothing", func(s *scene) {
			s.fresh(3, api.MachineLaunching)
			s.running(api.ActionBringUp, 3)
			s.gone(1)
			s.w.GPU = "0 of 8"
			s.w.CredentialsExpire = noon.Add(time.Hour)
		}, "Replace sky-x-1, RefreshCredentials sky-x-0, RepairGPU sky-x-0",
			"sky-x-3 MachineMissing: it is being brought up", ""},
		{"a machine that the cloud does not give keeps no GPU of the others away", func(s *scene) {
			s.c.Spec.Pools[0].Machine.Accelerators = "A100:8"
			s.fresh(3, api.MachineReserved)
			s.running(api.ActionBringUp, 3)
			s.w.GPU = "0 of 16"
		}, "RepairGPU sky-x-0", "sky-x-3 MachineMissing: it is being brought up", ""},
		{"the head is being restarted", func(s *scene) {
			s.running(api.ActionRestart, 0)
			s.gone(1)
		}, "", "sky-x-1 MachineGone: it waits for the head", ""},
		{"a repair that runs did not fail", func(s *scene) {
			s.record(1).State = api.MachineUp
			s.noNode(1)
			for i := range 3 {
				s.repaired(api.ActionBringUp, 1, time.Duration(3-i)*time.Hour, "no answer")
			}
			s.running(api.ActionBringUp, 1)
		}, "", "sky-x-1 MachineUnready: it is being brought up", ""},
		{"a bring-up of a machine that is to be removed", func(s *scene) {
			s.fresh(3, api.MachineLaunching)
			s.resize(2)
			s.running(api.ActionBringUp, 3)
		}, "", "sky-x-3 MachineSurplus: it is removed once its BringUp has stopped", ""},
		{"the credentials are being renewed", func(s *scene) {
			s.w.CredentialsExpire = noon.Add(time.Hour)
			s.running(api.ActionRefresh, 0)
		}, "", "CredentialsExpire: the credentials are being renewed", ""},
		{"an extra machine of the same name is being terminated", func(s *scene) {
			s.record(1).State = api.MachineReserved
			s.noNode(1)
			s.w.Listed[1].Incarnation = "old"
			s.w.InFlight = []api.Action{{Kind: api.ActionTerminate, Index: 1, Machine: "sky-x-1", Incarnation: "old"}}
		}, "", "sky-x-1 MachineUnready: no action while an earlier machine with its name is terminated", ""},
		{"a machine whose record was just forgotten", func(s *scene) {
			s.running(api.ActionRemove, 3)
			s.node(3, func(n *plan.Node) { n.Ready = false })
			s.c.Status.Machines = s.c.Status.Machines[:3]
			s.resize(2)
		}, "", "sky-x-3 MachineExtra: it is being removed|NodeExtra: it is being removed", ""},
		{"paused", func(s *scene) {
			restarting(s)
			s.c.Status.PausedAt = noon
		}, "", "sky-x-1 NodeNotReady: no action: repairs are paused", ""},
	})
}

func TestBringUpsOfUnwantedMachinesAreStopped(t *testing.T) {
	s := newScene(4)
	s.fresh(3, api.MachineLaunching)
	s.running(api.ActionBringUp, 3)
	if d := check(t, s); len(d.Stop) > 0 {
		t.Errorf("stops %v", d.Stop)
	}
	s.resize(2)
	if d := check(t, s); len(d.Stop) != 1 || d.Stop[0] != s.w.InFlight[0] {
		t.Errorf("stops %v", d.Stop)
	}
	s.c.Status.PausedAt = noon
	if d := check(t, s); len(d.Stop) > 0 || d.Doing != "removing 1" {
		t.Errorf("stops %v, doing %q, though paused", d.Stop, d.Doing)
	}
	s = newScene(4)
	s.fresh(3, api.MachineUp)
	s.record(3).ReplaceAsked = true
	s.running(api.ActionBringUp, 3)
	if d := check(t, s); len(d.Stop) != 1 {
		t.Errorf("the bring-up of a machine that is not wanted goes on\n%s", drift(d))
	}
}

func TestReplacementsOfAPool(t *testing.T) {
	asked := func(indexes ...int) func(*scene) {
		return func(s *scene) {
			for _, i := range indexes {
				s.record(i).ReplaceAsked = true
			}
		}
	}
	hold(t, []rule{
		{"one is asked for", asked(2), "Replace sky-x-2", "sky-x-2 ReplaceAsked: it is replaced", ""},
		{"two are asked for", asked(1, 2), "Replace sky-x-1", "sky-x-2 ReplaceAsked: it is replaced once enough", ""},
		{"two may be unavailable", func(s *scene) {
			asked(1, 2, 3)(s)
			s.c.Spec.Pools[0].MaxUnavailable = 2
		}, "Replace sky-x-1, Replace sky-x-2", "", ""},
		{"another one is being replaced", func(s *scene) {
			asked(1)(s)
			s.running(api.ActionReplace, 2)
		}, "", "sky-x-1 ReplaceAsked: it is replaced once enough", ""},
		{"another one was replaced and is not Ready yet", func(s *scene) {
			asked(1)(s)
			s.fresh(2, api.MachineUp)
			s.record(2).Replacement = true
			s.running(api.ActionBringUp, 2)
		}, "", "sky-x-1 ReplaceAsked: it is replaced once enough", ""},
		{"another one is not Ready", func(s *scene) {
			asked(1)(s)
			s.notReady(2, time.Minute)
		}, "", "sky-x-1 ReplaceAsked: it is replaced once enough", ""},
		{"an added machine does not count", func(s *scene) {
			asked(1)(s)
			s.fresh(2, api.MachineUp)
			s.running(api.ActionBringUp, 2)
		}, "Replace sky-x-1", "", ""},
		{"the one that does not work is asked for", func(s *scene) {
			asked(2)(s)
			s.notReady(2, time.Minute)
			s.notReady(1, time.Minute)
		}, "Replace sky-x-2", "", ""},
		{"each pool has room of its own", func(s *scene) {
			asked(1, 3)(s)
			s.record(3).Pool = "gpu"
			s.resize(2)
			s.c.Spec.Pools = append(s.c.Spec.Pools, api.Pool{Name: "gpu", Replicas: 1})
		}, "Replace sky-x-1, Replace sky-x-3", "", ""},
		{"it fails often", func(s *scene) {
			asked(1)(s)
			for i := range 9 {
				s.repaired(api.ActionReplace, 1, time.Duration(120-10*i)*time.Minute, "pods are left")
			}
		}, "", "sky-x-1 ReplaceAsked: it is replaced at", ""},
		{"while the API is silent", func(s *scene) {
			asked(1)(s)
			s.silent()
			s.unit(0, "active")
		}, "", "sky-x-1 ReplaceAsked: it is replaced once the Kubernetes API answers", ""},
		{"the successor is brought up", func(s *scene) {
			s.fresh(1, api.MachineReserved)
			s.record(1).Replacement = true
			s.repaired(api.ActionReplace, 1, time.Minute, "")
		}, "BringUp sky-x-1", "sky-x-1 MachineUnready: it is brought up", ""},
	})
}

func TestDecisionTellsWhatIsUnderWay(t *testing.T) {
	for _, c := range []struct {
		name      string
		scene     func(*scene)
		doing     string
		converged bool
	}{
		{"nothing", func(*scene) {}, "", true},
		{"drift that only waits", func(s *scene) { s.notReady(1, time.Minute); s.unit(1, "active") }, "", true},
		{"machines are missing", func(s *scene) { s.resize(5) }, "adding 2", false},
		{"some of them are on their way", func(s *scene) { s.resize(5); s.fresh(3, api.MachineUp) }, "adding 3", false},
		{"too many", func(s *scene) { s.resize(1) }, "removing 2", false},
		{"all at once", func(s *scene) {
			s.record(1).ReplaceAsked = true
			s.record(2).Leaving = api.LeaveDeleted
			s.w.InFlight = []api.Action{{Kind: api.ActionAddMachines, Index: -1, Pool: "default"}}
		}, "adding 1, removing 1, replacing 1", false},
		{"a repair", func(s *scene) { s.notReady(1, time.Hour); s.unit(1, "failed") }, "repairing 1", true},
		{"a lost machine", func(s *scene) { s.gone(1) }, "replacing 1", true},
		{"a replacement runs", func(s *scene) { s.running(api.ActionReplace, 1) }, "replacing 1", false},
		{"the cluster", func(s *scene) { s.w.GPU = "0 of 8"; s.w.KubeconfigFile = "cut" },
			"writing the kubeconfig file, repairing the GPU stack", true},
		{"paused", func(s *scene) { s.resize(5); s.c.Status.PausedAt = noon }, "", false},
	} {
		s := newScene(4)
		c.scene(s)
		if d := check(t, s); d.Doing != c.doing || d.Converged != c.converged {
			t.Errorf("%s: doing %q, converged %v, want %q, %v\n%s", c.name, d.Doing, d.Converged, c.doing, c.converged,
				drift(d))
		}
	}
}

func TestNextTimeIsThatOfTheFirstWait(t *testing.T) {
	for _, c := range []struct {
		name  string
		scene func(*scene)
		want  string
	}{
		{"nothing waits", func(*scene) {}, ""},
		{"an action is due", func(s *scene) { s.gone(1) }, ""},
		{"a back-off and an earlier wait", func(s *scene) {
			s.fresh(3, api.MachineLaunching)
			s.repaired(api.ActionBringUp, 3, 2*time.Minute, "no capacity")
			s.notReady(1, 3*time.Minute)
			s.unit(1, "active")
		}, "12:02:00"},
		{"on a machine with an action in flight", func(s *scene) {
			s.notReady(1, 3*time.Minute)
			s.unit(1, "active")
			s.running(api.ActionRestart, 1)
		}, ""},
		{"paused", func(s *scene) { s.notReady(1, 3*time.Minute); s.c.Status.PausedAt = noon }, ""},
	} {
		s := newScene(4)
		c.scene(s)
		got := ""
		if d := check(t, s); !d.NextAt.IsZero() {
			got = formatClockTime(d.NextAt)
		}
		if !strings.HasPrefix(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
