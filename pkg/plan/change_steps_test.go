package plan_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/plan"
)

func formatSteps(steps []plan.Step) string {
	var all []string
	for _, s := range steps {
		name := s.Machine
		if name == "" {
			name = fmt.Sprintf("%s+%d", s.Pool, s.Count)
		}
		all = append(all, fmt.Sprintf("%s %s $%g", s.Kind, name, s.PricePerHour))
	}
	return strings.Join(all, ", ")
}

// clone returns a copy of the scene's cluster that shares nothing with it.
func (s *scene) clone() *api.Cluster {
	c := *s.c
	c.Spec, c.Status.Machines = c.Spec.Clone(), slices.Clone(c.Status.Machines)
	return &c
}

func TestStepsOfAChange(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(*scene)
		change func(*api.Cluster)
		want   string
		price  float64 // afterwards; 8 before, if nothing changes
	}{
		{"nothing", nil, func(*api.Cluster) {}, "", 8},
		{"scale up", nil, func(c *api.Cluster) { c.Spec.Pools[0].Replicas = 5 }, "AddMachines default+2 $6", 14},
		{"scale up further", func(s *scene) { s.resize(4) }, func(c *api.Cluster) { c.Spec.Pools[0].Replicas = 5 },
			"AddMachines default+1 $3", 14},
		{"scale down", nil, func(c *api.Cluster) { c.Spec.Pools[0].Replicas = 1 },
			"Remove sky-x-2 $2, Remove sky-x-3 $2", 4},
		{"scale down with a machine not Ready", func(s *scene) { s.notReady(1, 0) },
			func(c *api.Cluster) { c.Spec.Pools[0].Replicas = 2 }, "Remove sky-x-1 $2", 6},
		{"scale down without an observation", func(s *scene) { s.w = plan.Observation{} },
			func(c *api.Cluster) { c.Spec.Pools[0].Replicas = 2 }, "Remove sky-x-3 $2", 6},
		{"add a pool", nil, func(c *api.Cluster) {
			c.Spec.Pools = append(c.Spec.Pools, api.Pool{Name: "gpu", Replicas: 2})
		}, "AddMachines gpu+2 $20", 28},
		{"delete a pool", nil, func(c *api.Cluster) { c.Spec.Pools = nil },
			"Remove sky-x-1 $2, Remove sky-x-2 $2, Remove sky-x-3 $2", 2},
		{"delete a machine", nil, func(c *api.Cluster) {
			c.Status.Machines[1].Leaving, c.Spec.Pools[0].Replicas = api.LeaveDeleted, 2
		}, "Remove sky-x-1 $2", 6},
		{"delete another machine than before", func(s *scene) { s.resize(2); s.record(2).Leaving = api.LeaveDeleted },
			func(c *api.Cluster) { c.Status.Machines[1].Leaving, c.Spec.Pools[0].Replicas = api.LeaveDeleted, 1 },
			"Remove sky-x-1 $2", 4},
		{"replace a machine", nil, func(c *api.Cluster) { c.Status.Machines[2].ReplaceAsked = true },
			"Replace sky-x-2 $2", 8},
		{"the server stays", nil, func(c *api.Cluster) { c.Status.Machines[0].ReplaceAsked = true }, "", 8},
	} {
		s := newScene(4)
		for i := range s.c.Status.Machines {
			s.record(i).Placement.PricePerMachine = 2
		}
		if c.before != nil {
			c.before(s)
		}
		after, prices := s.clone(), map[string]float64{"default": 3, "gpu": 10}
		c.change(after)
		if got := formatSteps(plan.ChangeSteps(s.c, after, s.w, prices)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if got := plan.PricePerHour(after, prices); got != c.price {
			t.Errorf("%s: $%g per hour, want $%g", c.name, got, c.price)
		}
	}
}

func TestStepsWithoutAnObservationClaimNothingOfNodes(t *testing.T) {
	s := newScene(3)
	after := s.clone()
	after.Spec.Pools[0].Replicas = 1
	steps := plan.ChangeSteps(s.c, after, plan.Observation{}, nil)
	if len(steps) != 1 || strings.Contains(steps[0].Why, "not Ready") {
		t.Errorf("got %+v", steps)
	}
}

// TestStepsOfAChangeAreThoseOfTheDecision checks that a preview names the machines that Decide then removes.
func TestStepsOfAChangeAreThoseOfTheDecision(t *testing.T) {
	forEach(t, func(seed uint64) error {
		r := rand.New(rand.NewPCG(seed, 3))
		s := newScene(2 + r.IntN(8))
		for i := range s.c.Status.Machines[1:] {
			s.node(i+1, func(n *plan.Node) {
				n.Pods, n.Cordoned, n.Ready = r.IntN(4), r.IntN(4) == 0, r.IntN(4) > 0
			})
		}
		after := s.clone()
		after.Spec.Pools[0].Replicas = r.IntN(10)
		var want, got []string
		for _, step := range plan.ChangeSteps(s.c, after, s.w, nil) {
			want = append(want, string(step.Kind)+step.Machine)
		}
		for _, a := range plan.Decide(after, s.w, policy).Actions {
			if a.Kind == api.ActionRemove || a.Kind == api.ActionAddMachines {
				got = append(got, string(a.Kind)+a.Machine)
			}
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("the preview is %v, the decision %v", want, got)
		}
		return nil
	})
}
