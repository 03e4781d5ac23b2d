package plan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/plan"
)

// rule is a row of a table: a fault in a cluster of four machines, and the expected decision.
type rule struct {
	name  string
	wrong func(*scene)
	// want are the actions, says parts of the drift's short form, fails parts of the failure. If all are empty, there
	// must be no drift.
	want  string
	says  string
	fails string
}

func (r rule) hold(t *testing.T) {
	s := newScene(4)
	r.wrong(s)
	d := check(t, s)
	if got := actions(d); got != r.want {
		t.Errorf("actions %q, want %q; drift:\n%s", got, r.want, drift(d))
	}
	if r.want+r.says+r.fails == "" && len(d.Drift) > 0 {
		t.Errorf("drift, want none:\n%s", drift(d))
	}
	for _, part := range strings.Split(r.says, "|") {
		if !strings.Contains(drift(d), part) {
			t.Errorf("drift\n%s\nlacks %q", drift(d), part)
		}
	}
	switch {
	case (d.Fail == nil) != (r.fails == ""):
		t.Errorf("failure %+v, want one with %q", d.Fail, r.fails)
	case d.Fail != nil:
		for _, part := range strings.Split(r.fails, "|") {
			if text := d.Fail.Reason + ": " + d.Fail.Message; !strings.Contains(text, part) {
				t.Errorf("failure %q lacks %q", text, part)
			}
		}
	}
}

func hold(t *testing.T, rules []rule) {
	for _, r := range rules {
		t.Run(r.name, r.hold)
	}
}

func TestMachinesOnTheCloud(t *testing.T) {
	hold(t, []rule{
		{"all healthy", func(*scene) {}, "", "", ""},
		{"a worker is gone", func(s *scene) {
			s.gone(1)
		}, "Replace sky-x-1", "sky-x-1 MachineGone: it is replaced", ""},
		{"all workers are gone", func(s *scene) {
			s.gone(1)
			s.gone(2)
			s.gone(3)
		}, "Replace sky-x-1, Replace sky-x-2, Replace sky-x-3", "", ""},
		{"a worker is gone with its Node", func(s *scene) {
			s.gone(1)
			s.noNode(1)
		}, "Replace sky-x-1", "sky-x-1 MachineGone", ""},
		{"the cloud's list is out of date", func(s *scene) {
			s.unlist(1)
		}, "", "sky-x-1 MachineGone: no action: the cloud's list may be out of date", ""},
		{"the list is empty and all are Ready", func(s *scene) {
			s.w.Listed = nil
		}, "", "sky-x-0 MachineGone|sky-x-3 MachineGone: no action", ""},
		{"a worker is gone and the API silent", func(s *scene) {
			s.gone(1)
			s.silent()
			s.unit(0, "active")
		}, "", "sky-x-1 MachineGone: it is replaced once the Kubernetes API answers", ""},
		{"a worker was stopped", func(s *scene) {
			s.stop(1)
		}, "StartMachine sky-x-1", "sky-x-1 MachineStopped: it is started", ""},
		{"a worker was stopped and cannot be started", func(s *scene) {
			s.stop(1)
			s.w.CanStart = false
		}, "Replace sky-x-1", "MachineStopped: it is replaced", ""},
		{"a worker cannot be started on a cloud that can start others",
			func(s *scene) { s.stop(1); s.unstartable(1) }, "Replace sky-x-1", "MachineStopped: it is replaced", ""},
		{"two were stopped and cannot be started", func(s *scene) {
			s.stop(1)
			s.stop(2)
			s.w.CanStart = false
		}, "Replace sky-x-1", "sky-x-2 MachineStopped: it is replaced after another worker", ""},
		{"a Ready worker is listed as stopped", func(s *scene) {
			s.stop(1)
			s.w.CanStart = false
			s.w.Nodes[s.record(1).NodeName] = plan.Node{Ready: true}
		}, "", "MachineStopped: no action", ""},
		{"the head was stopped", func(s *scene) {
			s.stop(0)
			s.silent()
		}, "StartMachine sky-x-0", "APISilent: |sky-x-0 MachineStopped: it is started", ""},
		{"the head was stopped and cannot be started", func(s *scene) {
			s.stop(0)
			s.silent()
			s.unreachable(0)
			s.w.CanStart = false
		}, "", "", "MachineStopped: sky-x-0, the head|Start it on the cloud"},
		{"a start that fails repeatedly", func(s *scene) {
			s.stop(1)
			for i := range 5 {
				s.repaired(api.ActionStartMachine, 1, time.Duration(5-i)*time.Hour, "refused")
			}
		}, "Replace sky-x-1", "MachineStopped", ""},
		{"the head is lost", func(s *scene) {
			s.lose(0, 5*time.Minute)
		}, "", "sky-x-0 HeadLost: the cluster goes to ERROR; its workers are kept",
			"HeadLost: sky-x-0, the head, is lost|delete the cluster|same create again"},
		{"the head has just been lost", func(s *scene) {
			s.lose(0, 4*time.Minute)
		}, "", "sky-x-0 HeadLost: the cluster goes to ERROR at 12:01:00Z if it is not back by then", ""},
		{"the head is not listed and answers SSH", func(s *scene) {
			s.gone(0)
			s.silent()
			s.unit(0, "active")
		}, "", "sky-x-0 MachineGone: no action", ""},
		{"the head is not listed and was not checked", func(s *scene) {
			s.gone(0)
			s.silent()
		}, "", "sky-x-0 HeadLost: it is checked over SSH", ""},
		{"the cloud cannot be queried", func(s *scene) { s.gone(1); s.w.CloudError = "403" }, "", "", ""},
		{"the cloud cannot be queried and the file is gone",
			func(s *scene) { s.w.Listed = nil; s.w.CloudError = "403"; s.w.KubeconfigFile = "it is cut" },
			"WriteKubeconfig", "KubeconfigMissing", ""},
	})
}

func TestExtraMachines(t *testing.T) {
	extra := plan.ListedMachine{Name: "sky-x-9", Index: 9, Incarnation: "z"}
	hold(t, []rule{
		{"index past the last one", func(s *scene) {
			s.w.Listed = append(s.w.Listed, extra)
		}, "Terminate sky-x-9", "sky-x-9 MachineExtra: it is terminated", ""},
		{"it comes before all other actions", func(s *scene) {
			s.w.Listed = append(s.w.Listed, extra)
			s.gone(1)
		}, "Terminate sky-x-9, Replace sky-x-1", "MachineExtra", ""},
		{"while the API is silent", func(s *scene) {
			s.w.Listed = append(s.w.Listed, extra)
			s.silent()
			s.unit(0, "active")
		}, "", "sky-x-9 MachineExtra: it is terminated once the Kubernetes API answers", ""},
		{"its termination failed", func(s *scene) {
			s.w.Listed = append(s.w.Listed, extra)
			s.repaired(api.ActionTerminate, 9, 2*time.Minute, "refused")
			s.c.Status.Repairs[0].Action.Machine = extra.Name
		}, "", "MachineExtra: it is terminated at 12:04:00Z", ""},
		{"an old incarnation next to the Ready one", func(s *scene) {
			s.w.Listed = append(s.w.Listed, plan.ListedMachine{Name: "sky-x-1", Index: 1, Incarnation: "old"})
		}, "", "sky-x-1 MachineConflict: only reported", ""},
		{"an outdated list shows the previous incarnation", func(s *scene) {
			s.w.Listed[1].Incarnation = "old"
		}, "", "MachineExtra|MachineGone: no action", ""},
		{"another incarnation, and ours is gone",
			func(s *scene) { s.w.Listed[1].Incarnation = "old"; s.notReady(1, time.Hour) },
			"Terminate sky-x-1, Replace sky-x-1", "MachineExtra: it is terminated|MachineGone: it is replaced", ""},
		{"another head, and ours is gone", func(s *scene) {
			s.w.Listed[0].Incarnation = "old"
			s.lose(0, time.Hour)
		}, "", "", "HeadLost"},
	})
}

func TestUnfinishedMachines(t *testing.T) {
	state := func(st api.MachineState, listed bool) func(*scene) {
		return func(s *scene) {
			s.record(1).State = st
			s.noNode(1)
			if !listed {
				s.unlist(1)
			}
		}
	}
	hold(t, []rule{
		{"reserved", state(api.MachineReserved, false), "BringUp sky-x-1", "MachineUnready: it is brought up", ""},
		{"launching", state(api.MachineLaunching, false), "BringUp sky-x-1", "MachineUnready", ""},
		{"up", state(api.MachineUp, true), "BringUp sky-x-1", "MachineUnready", ""},
		{"prepared", state(api.MachinePrepared, true), "BringUp sky-x-1", "MachineUnready", ""},
		{"prepared and gone", state(api.MachinePrepared, false), "Replace sky-x-1", "MachineUnready: it is replaced",
			""},
		{"terminating", state(api.MachineTerminating, true), "Replace sky-x-1", "MachineUnready", ""},
		{"gone", state(api.MachineGone, false), "Replace sky-x-1", "MachineUnready", ""},
		{"gone while the API is silent", func(s *scene) {
			state(api.MachineGone, false)(s)
			s.silent()
			s.unit(0, "active")
		}, "", "sky-x-1 MachineUnready: it continues once the Kubernetes API answers", ""},
		{"not listed yet and its Node is Ready", func(s *scene) {
			s.record(1).State = api.MachineUp
			s.unlist(1)
		}, "", "MachineUnready: no action: the cloud's list may be out of date", ""},
		{"the head was not started yet", func(s *scene) {
			s.record(0).State = api.MachinePrepared
			s.silent()
		}, "BringUp sky-x-0", "sky-x-0 MachineUnready", ""},
		{"the head was terminated", func(s *scene) {
			s.record(0).State = api.MachineGone
			s.lose(0, time.Hour)
		}, "", "", "HeadLost"},
		{"brought up too often without success", func(s *scene) {
			state(api.MachineUp, true)(s)
			for i := range 3 {
				s.repaired(api.ActionBringUp, 1, time.Duration(3-i)*time.Hour, "no answer")
			}
		}, "", "", "MachineUnready: sky-x-1|BringUp at 11:00:00Z: no answer"},
	})
}

func TestNodesOfWorkers(t *testing.T) {
	hold(t, []rule{
		{"not Ready for a while", func(s *scene) {
			s.notReady(1, 4*time.Minute)
			s.unit(1, "active")
		}, "", "NodeNotReady: RKE2 is restarted at 12:01:00Z if it is not Ready by then", ""},
		{"not Ready for long", func(s *scene) {
			s.notReady(1, 6*time.Minute)
			s.unit(1, "active")
		}, "Restart sky-x-1", "NodeNotReady: RKE2 is restarted", ""},
		{"just restarted", func(s *scene) {
			s.notReady(1, time.Hour)
			s.unit(1, "active")
			s.repaired(api.ActionRestart, 1, 4*time.Minute, "")
		}, "", "it is replaced at 12:02:00Z if that does not help", ""},
		{"restarted without success", func(s *scene) {
			s.notReady(1, time.Hour)
			s.unit(1, "active")
			s.repaired(api.ActionRestart, 1, 7*time.Minute, "")
		}, "Replace sky-x-1", "NodeNotReady", ""},
		{"an interrupted restart", func(s *scene) {
			s.notReady(1, time.Hour)
			s.unit(1, "active")
			s.repaired(api.ActionRestart, 1, 6*time.Minute, "killed")
		}, "Replace sky-x-1", "NodeNotReady", ""},
		{"restarted before the drift started", func(s *scene) {
			s.notReady(1, 6*time.Minute)
			s.unit(1, "active")
			s.repaired(api.ActionRestart, 1, time.Hour, "")
		}, "Restart sky-x-1", "NodeNotReady", ""},
		{"its predecessor was restarted", func(s *scene) {
			s.notReady(1, 30*time.Minute)
			s.repaired(api.ActionRestart, 1, 20*time.Minute, "")
			s.c.Status.Repairs[0].Action.Incarnation = "before"
		}, "Restart sky-x-1", "NodeNotReady", ""},
		{"it flaps between two kinds of drift", func(s *scene) {
			s.notReady(1, time.Minute) // since kubelet last said so
			s.unit(1, "active")
			s.drifting("sky-x-1", api.DriftUnitDead, time.Hour)
			s.repaired(api.ActionRestart, 1, 30*time.Minute, "")
		}, "Replace sky-x-1", "NodeNotReady", ""},
		{"SSH does not answer either", func(s *scene) {
			s.notReady(1, 9*time.Minute)
			s.unreachable(1)
		}, "", "NodeNotReady: it is replaced at 12:01:00Z if", ""},
		{"SSH does not answer for long", func(s *scene) {
			s.notReady(1, 11*time.Minute)
			s.unreachable(1)
		}, "Replace sky-x-1", "NodeNotReady", ""},
		{"SSH does not answer for long by the cluster's clock", func(s *scene) {
			s.notReady(1, time.Hour)
			s.unreachable(1)
			s.c.Status.Drift = nil
		}, "", "NodeNotReady: it is replaced at 12:10:00Z if", ""},
		{"RKE2 is dead", func(s *scene) {
			s.notReady(1, time.Minute)
			s.unit(1, "failed")
		}, "Restart sky-x-1", "UnitDead: RKE2 is restarted", ""},
		{"RKE2 is stopped", func(s *scene) {
			s.notReady(1, time.Minute)
			s.unit(1, "inactive")
		}, "Restart sky-x-1", "UnitDead", ""},
		{"RKE2 stays dead", func(s *scene) {
			s.notReady(1, 20*time.Minute)
			s.unit(1, "failed")
			s.drifting("sky-x-1", api.DriftUnitDead, 20*time.Minute)
			s.repaired(api.ActionRestart, 1, 10*time.Minute, "it failed")
		}, "Replace sky-x-1", "UnitDead", ""},
		{"RKE2 is starting", func(s *scene) {
			s.notReady(1, time.Hour)
			s.unit(1, "activating")
		}, "", "NodeNotReady: RKE2 is restarted at 12:04:00Z", ""},
		{"RKE2 hangs while starting", func(s *scene) {
			s.notReady(1, time.Hour)
			s.w.Units[1] = plan.RKE2Unit{Reached: true, Active: "activating", Since: noon.Add(-6 * time.Minute)}
		}, "Restart sky-x-1", "NodeNotReady", ""},
		{"its Node was deleted", func(s *scene) {
			s.noNode(1)
			s.unit(1, "active")
		}, "Restart sky-x-1", "NodeMissing: RKE2 is restarted", ""},
		{"its Node was deleted and a restart did not restore it", func(s *scene) {
			s.noNode(1)
			s.unit(1, "active")
			s.drifting("sky-x-1", api.DriftNodeMissing, 20*time.Minute)
			s.repaired(api.ActionRestart, 1, 10*time.Minute, "")
		}, "Replace sky-x-1", "NodeMissing", ""},
		{"cordoned", func(s *scene) {
			s.w.Nodes[s.record(1).NodeName] = plan.Node{Ready: true, Cordoned: true}
		}, "", "NodeCordoned: only reported", ""},
		{"another version", func(s *scene) {
			s.w.Nodes[s.record(1).NodeName] = plan.Node{Ready: true, Kubelet: "v1.30.0"}
		}, "", "VersionSkew: only reported", ""},
		{"Ready again during the back-off of a restart",
			func(s *scene) { s.repaired(api.ActionRestart, 1, time.Minute, "") }, "", "", ""},
		{"the Node of an old incarnation", func(s *scene) {
			s.w.Nodes["sky-x-1-old"] = plan.Node{}
		}, "ForgetNode sky-x-1-old", "NodeExtra: it is deleted", ""},
		{"the Node of an old incarnation could not be removed", func(s *scene) {
			s.w.Nodes["sky-x-1-old"] = plan.Node{}
			s.repaired(api.ActionForgetNode, -1, 3*time.Minute, "timeout")
			s.c.Status.Repairs[0].Action.Node = "sky-x-1-old"
		}, "", "NodeExtra: it is deleted at 12:03:00Z", ""},
		{"the Node of an old incarnation is Ready", func(s *scene) {
			s.w.Nodes["sky-x-1-old"] = plan.Node{Ready: true}
		}, "", "NodeExtra: only reported", ""},
		{"a Node that a user joined", func(s *scene) { s.w.Nodes["mine"] = plan.Node{} }, "", "", ""},
	})
}

func TestManyWorkersAtOnce(t *testing.T) {
	hold(t, []rule{
		{"one at a time is replaced, in addition to the missing one", func(s *scene) {
			s.notReady(1, time.Hour)
			s.unreachable(1)
			s.gone(2)
			s.gone(3)
		}, "Replace sky-x-1, Replace sky-x-2, Replace sky-x-3", "", ""},
		{"most are unreachable", func(s *scene) {
			for _, i := range []int{1, 2} {
				s.notReady(i, time.Hour)
				s.unreachable(i)
			}
		}, "", "sky-x-1 NodeNotReady: most workers are not Ready|sky-x-2 NodeNotReady: most workers", ""},
		{"most are not Ready", func(s *scene) {
			for _, i := range []int{1, 2, 3} {
				s.notReady(i, time.Hour)
				s.unit(i, "active")
			}
		}, "Restart sky-x-1", "sky-x-2 NodeNotReady: it is restarted after another worker", ""},
		{"RKE2 is dead on all", func(s *scene) {
			for _, i := range []int{1, 2, 3} {
				s.notReady(i, time.Hour)
				s.unit(i, "failed")
			}
		}, "Restart sky-x-1, Restart sky-x-2, Restart sky-x-3", "", ""},
	})
}

func TestTheHead(t *testing.T) {
	tries := func(s *scene, n int) {
		for i := range n {
			s.repaired(api.ActionRestart, 0, time.Duration(5-i)*time.Hour, "no answer")
		}
	}
	hold(t, []rule{
		{"RKE2 is dead", func(s *scene) {
			s.silent()
			s.unit(0, "failed")
		}, "Restart sky-x-0", "APISilent|sky-x-0 UnitDead: RKE2 is restarted", ""},
		{"its API is silent", func(s *scene) {
			s.silent()
			s.says(0, plan.Unhealthy)
		}, "", "sky-x-0 APISilent: RKE2 is restarted at 12:05:00Z", ""},
		{"its API is silent for long", func(s *scene) {
			s.silent()
			s.says(0, plan.Unhealthy)
			s.drifting("", api.DriftAPISilent, 6*time.Minute)
		}, "Restart sky-x-0", "sky-x-0 APISilent: RKE2 is restarted", ""},
		{"its API is silent for long, for an unknown reason", func(s *scene) {
			s.silent()
			s.unit(0, "active")
			s.drifting("", api.DriftAPISilent, time.Hour)
		}, "", "sky-x-0 APISilent: no action: check RKE2", ""},
		{"restarted just now", func(s *scene) {
			s.silent()
			s.unit(0, "failed")
			s.repaired(api.ActionRestart, 0, 3*time.Minute, "no")
		}, "", "UnitDead: RKE2 is restarted at 12:03:00Z", ""},
		{"restarted twice", func(s *scene) {
			s.silent()
			s.unit(0, "failed")
			s.repaired(api.ActionRestart, 0, 20*time.Minute, "no")
			s.repaired(api.ActionRestart, 0, 9*time.Minute, "no")
		}, "", "UnitDead: RKE2 is restarted at 12:02:00Z", ""},
		{"restarts do not help", func(s *scene) {
			s.silent()
			s.unit(0, "failed")
			tries(s, 5)
		}, "", "",
			"UnitDead: sky-x-0, the head|Restart at 11:00:00Z: no answer|workers are kept|skyctl reconcile x"},
		{"old restarts do not count", func(s *scene) {
			s.silent()
			s.unit(0, "failed")
			for range 5 {
				s.repaired(api.ActionRestart, 0, 7*time.Hour, "no answer")
			}
		}, "Restart sky-x-0", "UnitDead", ""},
		{"neither API nor SSH answers", func(s *scene) {
			s.silent()
			s.unreachable(0)
			s.drifting("", api.DriftAPISilent, time.Hour)
		}, "", "sky-x-0 APISilent: no action", ""},
		{"its Node is not Ready", func(s *scene) {
			s.notReady(0, 6*time.Minute)
			s.unit(0, "active")
		}, "Restart sky-x-0", "NodeNotReady", ""},
		{"its Node is not Ready and SSH does not answer", func(s *scene) {
			s.notReady(0, time.Hour)
			s.unreachable(0)
		}, "", "NodeNotReady: no action", ""},
		{"its Node was deleted", func(s *scene) {
			s.noNode(0)
			s.unit(0, "active")
		}, "Restart sky-x-0", "NodeMissing", ""},
		{"its Node is being deleted", func(s *scene) {
			s.w.Nodes[s.record(0).NodeName] = plan.Node{Ready: true, Deleting: true, Kubelet: release}
		}, "Restart sky-x-0", "NodeMissing: RKE2 is restarted", ""},
		{"a worker's Node is being deleted", func(s *scene) {
			s.w.Nodes[s.record(1).NodeName] = plan.Node{Ready: true, Deleting: true, Kubelet: release}
		}, "", "", ""},
		{"workers wait for it", func(s *scene) {
			s.notReady(0, 6*time.Minute)
			s.notReady(1, 6*time.Minute)
			s.gone(2)
		}, "Restart sky-x-0", "sky-x-1 NodeNotReady: it waits for the head|sky-x-2 MachineGone: it waits for the head",
			""},
	})
}

func TestHealthyHeadIsNeverRestarted(t *testing.T) {
	wellThere := func(s *scene) { s.silent(); s.says(0, plan.Healthy); s.drifting("", api.DriftAPISilent, time.Hour) }
	hold(t, []rule{
		{"its API does not answer skyd", wellThere, "", "APIUnreachable: no restart", ""},
		{"after restarts without success", func(s *scene) {
			wellThere(s)
			for i := range 9 {
				s.repaired(api.ActionRestart, 0, time.Duration(i)*time.Minute, "no answer")
			}
		}, "", "APIUnreachable: no restart", ""},
		{"while its recorded address is outdated",
			func(s *scene) { wellThere(s); s.c.Status.Endpoint = "https://203.0.113.7:6443" },
			"", "203.0.113.7:6443", ""},
		{"before it was completely brought up",
			func(s *scene) { wellThere(s); s.record(0).State = api.MachinePrepared }, "",
			"APIUnreachable|sky-x-0 MachineUnready: it continues once the Kubernetes API answers", ""},
		{"with a worker that the cloud does not list", func(s *scene) {
			wellThere(s)
			s.unlist(1)
		}, "", "sky-x-1 MachineGone: it is replaced once", ""},
		{"with expired credentials", func(s *scene) {
			wellThere(s)
			s.w.CredentialsExpire = noon
		}, "RefreshCredentials sky-x-0", "CredentialsExpire|sky-x-0 APISilent", ""},
		{"but its unit is dead", func(s *scene) {
			wellThere(s)
			u := s.w.Units[0]
			u.Active = "failed"
			s.w.Units[0] = u
		}, "Restart sky-x-0", "UnitDead", ""},
		{"it has just become unhealthy", func(s *scene) {
			s.silent()
			s.says(0, plan.Unhealthy)
			s.drifting("", api.DriftAPIUnreachable, time.Hour)
		}, "", "sky-x-0 APISilent: RKE2 is restarted at 12:05:00Z", ""},
	})
}

func TestRepairBackoff(t *testing.T) {
	gone := func(outcomes ...string) func(*scene) {
		return func(s *scene) {
			s.gone(1)
			for i, o := range outcomes {
				s.repaired(api.ActionReplace, 1, time.Duration(len(outcomes)-i)*10*time.Minute, o)
			}
		}
	}
	hold(t, []rule{
		{"after one failure", gone("no capacity"), "Replace sky-x-1", "MachineGone", ""},
		{"after two failures", gone("no capacity", "no capacity"), "", "MachineGone: it is replaced at 12:01:00Z",
			""},
		{"after three failures", gone("no capacity", "no quota", "killed"), "",
			"MachineGone: the cluster goes to ERROR",
			"MachineGone: sky-x-1|Replace at 11:30:00Z: no capacity; Replace at 11:40:00Z: no quota; Replace " +
				"at 11:50:00Z: was interrupted"},
		{"a cloud that reclaims machines", gone("", "", "", ""), "Replace sky-x-1", "MachineGone", ""},
		{"too many replacements", gone("", "", "", "", "", "", "", "", ""), "", "", "MachineGone"},
		{"a record from the future", func(s *scene) {
			s.gone(1)
			s.repaired(api.ActionReplace, 1, -48*time.Hour, "no")
		}, "Replace sky-x-1", "MachineGone", ""},
		{"the successor of a machine that was brought up lately", func(s *scene) {
			s.repaired(api.ActionBringUp, 1, 2*time.Minute, "")
			s.record(1).Incarnation = "next"
			s.fresh(1, api.MachineReserved)
		}, "BringUp sky-x-1", "sky-x-1 MachineMissing: it is brought up", ""},
		{"the successor of a machine that did not come up", func(s *scene) {
			s.repaired(api.ActionBringUp, 1, 2*time.Minute, "no answer")
			s.record(1).Incarnation = "next"
			s.fresh(1, api.MachineReserved)
		}, "", "it is brought up at 12:04:00Z (back-off after a recent attempt)", ""},
		{"a machine that was brought up lately", func(s *scene) {
			s.repaired(api.ActionBringUp, 1, 2*time.Minute, "")
			s.fresh(1, api.MachineReserved)
		}, "", "it is brought up at 12:04:00Z (back-off after a recent attempt)", ""},
		{"another index is not delayed", func(s *scene) {
			s.gone(1)
			s.repaired(api.ActionReplace, 2, time.Minute, "no")
		}, "Replace sky-x-1", "MachineGone", ""},
		{"paused", func(s *scene) {
			s.gone(1)
			s.c.Status.PausedAt = noon
		}, "", "MachineGone: no action: repairs are paused", ""},
		{"paused and beyond repair", func(s *scene) {
			gone("a", "b", "c")(s)
			s.c.Status.PausedAt = noon
		}, "", "MachineGone: no action: repairs are paused", ""},
	})
}

func TestClusterRepairs(t *testing.T) {
	soon := func(s *scene) { s.w.CredentialsExpire = noon.Add(24 * time.Hour) }
	hold(t, []rule{
		{"credentials expire soon", soon, "RefreshCredentials sky-x-0", "CredentialsExpire: they are renewed", ""},
		{"credentials have expired, so that the API rejects them", func(s *scene) {
			s.silent()
			s.unit(0, "active")
			s.w.CredentialsExpire = noon.Add(-time.Hour)
		}, "RefreshCredentials sky-x-0", "CredentialsExpire: they are renewed", ""},
		{"credentials expire soon and the API is silent", func(s *scene) {
			soon(s)
			s.silent()
			s.unit(0, "active")
		}, "", "APISilent", ""},
		{"credentials are not checked", func(s *scene) { s.w.CredentialsExpire = time.Time{} }, "", "", ""},
		{"credentials expire soon after a refresh",
			func(s *scene) { soon(s); s.repaired(api.ActionRefresh, 0, time.Hour, "") },
			"", "expire just as soon; next attempt at 17:01:00Z", ""},
		{"a refresh failed", func(s *scene) {
			soon(s)
			s.repaired(api.ActionRefresh, 0, time.Hour, "no")
		}, "RefreshCredentials sky-x-0", "CredentialsExpire", ""},
		{"no kubeconfig", func(s *scene) {
			s.w.KubeconfigFile = "it is cut"
		}, "WriteKubeconfig", "KubeconfigMissing: it is written again", ""},
		{"no disk space for a kubeconfig", func(s *scene) {
			s.w.KubeconfigFile = "it is cut"
			s.repaired(api.ActionWriteKubeconfig, 0, time.Minute, "disk full")
		}, "", "KubeconfigMissing: it is written again at 12:05:00Z", ""},
		{"no GPU", func(s *scene) {
			s.w.GPU = "node sky-x-1 offers 0 of 8"
		}, "RepairGPU sky-x-0", "GPUNotReady: the GPU stack is applied again", ""},
		{"no GPU on a machine that is gone", func(s *scene) {
			s.w.GPU = "node sky-x-1 offers 0 of 8"
			s.gone(1)
			s.c.Spec.Pools[0].Machine.Accelerators = "A100:8"
		}, "Replace sky-x-1", "GPUNotReady: it is repaired once every Node with accelerators is Ready", ""},
		{"no GPU, and a machine without GPUs is gone", func(s *scene) {
			s.w.GPU = "node sky-x-0 offers 0 of 8"
			s.gone(1)
			s.c.Spec.ControlPlane.Machine.Accelerators = "A100:8"
		}, "Replace sky-x-1, RepairGPU sky-x-0", "", ""},
		{"no GPU, and cordoned", func(s *scene) {
			s.w.GPU = "x"
			s.w.Nodes[s.record(1).NodeName] = plan.Node{Ready: true, Cordoned: true}
		}, "RepairGPU sky-x-0", "GPUNotReady", ""},
		{"all in the right order", func(s *scene) {
			s.w.Listed = append(s.w.Listed, plan.ListedMachine{Name: "sky-x-9", Index: 9, Incarnation: "z"})
			s.w.Nodes["sky-x-9-z"] = plan.Node{}
			s.stop(1)
			s.noNode(2)
			s.gone(3)
			soon(s)
			s.w.KubeconfigFile = "it is cut"
		}, "Terminate sky-x-9, ForgetNode sky-x-9-z, StartMachine sky-x-1, Restart sky-x-2, Replace sky-x-3, " +
			"RefreshCredentials sky-x-0, WriteKubeconfig", "", ""},
		{"INIT", func(s *scene) { s.c.Status.Phase = api.PhaseInit; s.gone(1) }, "", "", ""},
		{"PROVISIONING", func(s *scene) { s.c.Status.Phase = api.PhaseProvisioning; s.gone(1) }, "", "", ""},
		{"DELETING", func(s *scene) { s.c.Status.Phase = api.PhaseDeleting; s.gone(1) }, "", "", ""},
	})
}

func TestLeftoversOfAClusterInError(t *testing.T) {
	failed := func(also func(*scene)) func(*scene) {
		return func(s *scene) {
			s.c.Status.Phase = api.PhaseError
			s.c.Status.Transitions = []api.Transition{{Phase: api.PhaseInit}, {Phase: api.PhaseError}}
			also(s)
		}
	}
	withoutGPUs := func(also func(*scene)) func(*scene) {
		return failed(func(s *scene) {
			s.c.Status.Failure = &api.Failure{Step: api.StepGPU}
			also(s)
		})
	}
	hold(t, []rule{
		{"all are on record, and clean-up failed", failed(func(s *scene) {
			s.noNode(1)
		}), "Terminate sky-x-0, Terminate sky-x-1, Terminate sky-x-2, Terminate sky-x-3", "", ""},
		{"all are on record, without the GPU stack", withoutGPUs(func(s *scene) { s.noNode(1) }), "", "", ""},
		{"some should have been terminated", withoutGPUs(func(s *scene) {
			s.record(0).State, s.record(1).State = api.MachineGone, api.MachineTerminating
			s.record(2).State, s.record(3).State = api.MachineUp, api.MachineLaunching
		}), "Terminate sky-x-0, Terminate sky-x-1", "sky-x-0 Leftover: it is terminated", ""},
		{"they were kept on purpose", failed(func(s *scene) {
			s.record(1).State = api.MachineGone
			s.c.Status.KeepOnFailure = true
		}), "", "", ""},
		{"no record", failed(func(s *scene) {
			s.c.Status.Machines = nil
		}), "Terminate sky-x-0, Terminate sky-x-1, Terminate sky-x-2, Terminate sky-x-3", "", ""},
		{"another incarnation, ours is gone",
			withoutGPUs(func(s *scene) { s.w.Listed[1].Incarnation = "old"; s.record(1).State = api.MachineGone }),
			"Terminate sky-x-1", "Leftover", ""},
		{"another incarnation, ours is kept", withoutGPUs(func(s *scene) {
			s.w.Listed[1].Incarnation = "old"
		}), "", "Leftover: only reported", ""},
		{"the cloud cannot be queried", failed(func(s *scene) {
			s.c.Status.Machines = nil
			s.w.CloudError = "403"
		}), "", "", ""},
		{"paused", failed(func(s *scene) {
			s.c.Status.Machines = nil
			s.c.Status.PausedAt = noon
		}), "", "sky-x-0 Leftover: no action: repairs are paused", ""},
		{"one without a record, of a formerly READY cluster", func(s *scene) {
			s.c.Status.Phase = api.PhaseError
			s.c.Status.Machines = s.c.Status.Machines[:3]
		}, "", "sky-x-3 Leftover: only reported", ""},
		{"a formerly READY head", func(s *scene) {
			s.c.Status.Phase = api.PhaseError
			s.record(0).State = api.MachineGone
		}, "", "Leftover: only reported", ""},
	})
}

func TestPowerOffTimerOfAReadyMachineIsCleared(t *testing.T) {
	hold(t, []rule{
		{"its timer is set", func(s *scene) {
			s.record(1).PowerOffAt = noon.Add(time.Hour)
		}, "Disarm sky-x-1", "PowerOffPending: the timer is removed", ""},
		{"it is not Ready", func(s *scene) {
			s.record(1).PowerOffAt = noon.Add(time.Hour)
			s.notReady(1, time.Minute)
		}, "", "NodeNotReady", ""},
	})
}

func TestSilentCloudDoesNotRestartWaitingTimes(t *testing.T) {
	s := newScene(2)
	s.lose(0, 4*time.Minute)
	s.w.CloudError = "403"
	d := check(t, s)
	if actions(d) != "" || d.Fail != nil || !strings.Contains(drift(d),
		"sky-x-0 HeadLost: no action until the cloud can be reached") {
		t.Fatalf("actions %q, failure %v\n%s", actions(d), d.Fail, drift(d))
	}
	s.c.Status.SetDrift(d.Drift, s.w.At) // as a sweep records it
	s.w.CloudError, s.w.At = "", s.w.At.Add(time.Minute)
	if d = check(t, s); d.Fail == nil {
		t.Errorf("the head is not reported as lost\n%s", drift(d))
	}
}

func TestDisprovedDriftIsDroppedWhileTheCloudIsSilent(t *testing.T) {
	for what, s := range map[string]func(*scene){
		"its Node is Ready": func(s *scene) { s.drifting("sky-x-1", api.DriftNodeNotReady, 10*time.Minute) },
		"the API answers": func(s *scene) {
			s.drifting("sky-x-0", api.DriftHeadLost, 10*time.Minute)
			s.notReady(0, time.Minute)
		},
		"it answers again": func(s *scene) {
			s.drifting("sky-x-0", api.DriftAPISilent, 10*time.Minute)
			s.notReady(0, time.Minute)
		},
		"it is a newer machine": func(s *scene) {
			s.drifting("sky-x-1", api.DriftUnitDead, 2*time.Hour)
			s.notReady(1, time.Minute)
		},
	} {
		scene := newScene(2)
		s(scene)
		scene.w.CloudError = "403"
		if d := check(t, scene); len(d.Drift) > 0 {
			t.Errorf("%s: drift\n%s", what, drift(d))
		}
	}
}

func TestMachineOfUnknownStateIsNotReplaced(t *testing.T) {
	s := newScene(4)
	s.w.Listed[1].Unknown = true
	s.notReady(1, time.Hour)
	s.unreachable(1)
	s.gone(2)
	if d := check(t, s); actions(d) != "Replace sky-x-2" ||
		!strings.Contains(drift(d), "sky-x-1 NodeNotReady: "+onceAsked) {
		t.Errorf("does %q\n%s", actions(d), drift(d))
	}
	s = newScene(2)
	s.record(1).State = api.MachineUp
	s.w.Listed[1].Unknown = true
	s.notReady(1, time.Minute)
	s.w.Listed = append(s.w.Listed, plan.ListedMachine{Name: "sky-x-7", Index: 7, Incarnation: "extra", Unknown: true})
	if d := check(t, s); actions(d) != "" || !strings.Contains(drift(d), "sky-x-1 MachineUnready: "+onceAsked) ||
		!strings.Contains(drift(d), "sky-x-7 MachineExtra: "+onceAsked) {
		t.Errorf("does %q\n%s", actions(d), drift(d))
	}
}

const onceAsked = "no action until the cloud answers about it"

func TestTwoUnreachableWorkersAreNotReplaced(t *testing.T) {
	s := newScene(3)
	for _, i := range []int{1, 2} {
		s.notReady(i, time.Hour)
		s.unreachable(i)
	}
	if d := check(t, s); actions(d) != "" || !strings.Contains(drift(d), "most workers are not Ready") {
		t.Errorf("does %q\n%s", actions(d), drift(d))
	}
	s.ready(1)
	if d := check(t, s); actions(d) != "Replace sky-x-2" {
		t.Errorf("does %q\n%s", actions(d), drift(d))
	}
}

func TestFailureMessageIsBounded(t *testing.T) {
	s := newScene(2)
	s.gone(1)
	for i := range 40 {
		s.repaired(api.ActionReplace, 1, time.Duration(50-i)*time.Minute, strings.Repeat("é", 3000)+"\nmore")
	}
	d := check(t, s)
	if d.Fail == nil || len(d.Fail.Message) > 5000 || !d.Fail.At.Equal(noon) ||
		strings.Contains(d.Fail.Message, "more\n") {
		t.Errorf("failure %+v", d.Fail)
	}
}
