package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/plan"
)

var (
	noon   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	policy = plan.DefaultPolicy()
)

const release = "v1.36.3+rke2r1"

// scene is a cluster and its observation, at first without drift.
type scene struct {
	c *api.Cluster
	w plan.Observation
}

func newScene(numNodes int) *scene {
	c := &api.Cluster{Metadata: api.Metadata{Name: "x", UID: "uid"}}
	setMachineCount(c, numNodes)
	c.Status.Phase, c.Status.Placement = api.PhaseReady, &api.Placement{Cloud: "sim"}
	c.Status.Versions.RKE2, c.Status.NextIndex = release, numNodes
	c.Status.Transitions = []api.Transition{{Phase: api.PhaseInit}, {Phase: api.PhaseReady}}
	s := &scene{c: c, w: plan.Observation{
		At: noon, Nodes: map[string]plan.Node{}, Units: map[int]plan.RKE2Unit{},
		CredentialsExpire: noon.AddDate(1, 0, 0), CanStart: true,
	}}
	for i := range numNodes {
		m := api.NewMachine("x", i, poolAt(i), fmt.Sprintf("inc%d", i), *c.Status.Placement, noon.Add(-time.Hour))
		m.State, m.ReadyAt = api.MachineReady, noon.Add(-50*time.Minute)
		c.Status.Machines = append(c.Status.Machines, m)
		s.w.Listed = append(s.w.Listed, plan.ListedMachine{Name: m.Name, Index: i, Incarnation: m.Incarnation})
		s.w.Nodes[m.NodeName] = plan.Node{Ready: true, Since: noon.Add(-time.Hour), Kubelet: release}
	}
	return s
}

func (s *scene) decide() plan.Decision { return plan.Decide(s.c, s.w, policy) }

func (s *scene) record(i int) *api.Machine { return &s.c.Status.Machines[i] }

// unlist removes a machine from the cloud's list.
func (s *scene) unlist(i int) {
	s.w.Listed = slices.DeleteFunc(s.w.Listed, func(l plan.ListedMachine) bool { return l.Index == i })
}

// gone removes a machine from the cloud's list and makes its Node not Ready.
func (s *scene) gone(i int) {
	s.unlist(i)
	s.notReady(i, time.Minute)
}

// lose makes the head disappear: it is not listed and does not answer, since the given time.
func (s *scene) lose(i int, since time.Duration) {
	if s.w.Listed[i].Incarnation == s.record(i).Incarnation {
		s.unlist(i)
	}
	s.silent()
	s.unreachable(i)
	s.drifting(s.record(i).Name, api.DriftHeadLost, since)
}

func (s *scene) stop(i int) {
	for j := range s.w.Listed {
		if s.w.Listed[j].Index == i {
			s.w.Listed[j].Stopped = true
		}
	}
	s.notReady(i, time.Minute)
}

func (s *scene) unstartable(i int) {
	for k := range s.w.Listed {
		if s.w.Listed[k].Name == s.record(i).Name {
			s.w.Listed[k].NoStart = true
		}
	}
}

// notReady makes a Node not Ready for the given time; the drift was observed after the first minute.
func (s *scene) notReady(i int, since time.Duration) {
	if since > time.Minute {
		s.drifting(s.record(i).Name, api.DriftNodeNotReady, since)
	}
	s.w.Nodes[s.record(i).NodeName] = plan.Node{Why: "kubelet stopped posting node status", Since: s.w.At.Add(-since),
		Kubelet: release}
}

func (s *scene) ready(i int) {
	s.w.Nodes[s.record(i).NodeName] = plan.Node{Ready: true, Since: noon, Kubelet: release}
	delete(s.w.Units, i)
}

func (s *scene) noNode(i int) { delete(s.w.Nodes, s.record(i).NodeName) }

func (s *scene) silent() { s.w.APIError, s.w.Nodes = "connection refused", nil }

func (s *scene) unit(i int, active string) {
	s.w.Units[i] = plan.RKE2Unit{Reached: true, Active: active, Since: s.w.At.Add(-time.Minute)}
}

// says sets what a machine reports about its API.
func (s *scene) says(i int, health plan.Health) {
	s.unit(i, "active")
	u := s.w.Units[i]
	u.Health, u.Why = health, "500 etcd failed"
	s.w.Units[i] = u
}

// unreachable makes SSH not answer, with a drift of the Node for six minutes.
func (s *scene) unreachable(i int) {
	s.w.Units[i] = plan.RKE2Unit{Error: "connection timed out"}
	s.drifting(s.record(i).Name, api.DriftNodeNotReady, 6*time.Minute)
}

// drifting records an earlier drift.
func (s *scene) drifting(machine string, reason api.DriftReason, since time.Duration) {
	s.c.Status.Drift = append(s.c.Status.Drift, api.Drift{Machine: machine, Reason: reason, Since: s.w.At.Add(-since)})
}

// repaired records a repair that started the given time ago and took a minute. outcome is its error: "" is success, and
// "killed" leaves the record without an end.
func (s *scene) repaired(kind api.ActionKind, i int, ago time.Duration, outcome string) {
	r := api.Repair{ID: fmt.Sprint(len(s.c.Status.Repairs)), At: s.w.At.Add(-ago)}
	r.Action = api.Action{Kind: kind, Index: i}
	if i >= 0 && i < len(s.c.Status.Machines) {
		r.Action.Machine, r.Action.Incarnation = s.record(i).Name, s.record(i).Incarnation
	}
	if outcome != "killed" {
		r.Ended, r.Error = r.At.Add(time.Minute), outcome
	}
	s.c.Status.Repairs = append(s.c.Status.Repairs, r)
}

// actions returns the actions of a decision in short form: "Replace sky-x-1".
func actions(d plan.Decision) string {
	var all []string
	for _, a := range d.Actions {
		all = append(all, strings.TrimSpace(string(a.Kind)+" "+a.Machine))
	}
	return strings.Join(all, ", ")
}

// drift returns the drift of a decision in short form: "sky-x-1 MachineGone: it is replaced".
func drift(d plan.Decision) string {
	var all []string
	for _, x := range d.Drift {
		all = append(all, strings.TrimSpace(x.Machine+" "+string(x.Reason))+": "+x.Next)
	}
	return strings.Join(all, "\n")
}

func check(t *testing.T, s *scene) plan.Decision {
	t.Helper()
	d := s.decide()
	if err := holds(s.c, s.w, d); err != nil {
		t.Error(err)
	}
	return d
}

// setMachineCount requests one server and the rest in the default pool.
func setMachineCount(c *api.Cluster, count int) {
	request := c.Spec.CreateRequest()
	request.NumNodes = count
	c.Spec = api.NewClusterSpec(request)
}

// poolAt is the pool of a machine: the first one is the head.
func poolAt(index int) string {
	if index == 0 {
		return ""
	}
	return api.DefaultPool
}
