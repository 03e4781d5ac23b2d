package faults

import (
	"errors"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/simcloud"
)

// changes are scenes in which a person changes a READY cluster.
var changes = []scene{
	{
		name: "scale up", prepare: (*lane).ready, act: scaled(size + 2), ends: after(size+2, size+2), concerns: 2,
		activities: [][]string{{"BeginActions", "PlanPool", "AddMachines", "EndActions"}},
		also:       []string{"MarkRepaired"},
	},
	{
		name: "scale up, in a group", prepare: (*lane).ready, act: scaled(size + 2), ends: after(size+2, size+2),
		workflow: operation.WorkflowBringUp, concerns: 2,
		activities: [][]string{{"Submit", "Await", "Arm", "Prepare"}, {"Join", "AwaitNode", "Disarm"}},
	},
	{
		name: "scale up, to the next placement", home: home{placements: []api.Placement{dear("here"), larger("here")}},
		prepare: drift(func(l *lane, _ api.Ref) {
			l.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpSubmit, Machine: l.machine(size), Times: 1,
				Err: simcloud.NewRefusal(cloud.Capacity)})
		}),
		act: scaled(size + 1), ends: after(size+1, size+1), concerns: 1,
		activities: [][]string{{"RecordPoolAttempt", "RepositionMachine"}}, also: []string{"Terminate"},
	},
	{
		name: "scale down", prepare: drift((*lane).addPods), act: scaled(size - 1), ends: after(size-1, size),
		concerns:   1,
		activities: [][]string{{"MarkLeaving", "DrainMachine"}, {"Terminate", "ForgetNode", "ForgetMachine"}},
	},
	{
		name: "replace", prepare: drift((*lane).addPods), act: replaced, ends: after(size, size+1), concerns: 1,
		activities: [][]string{{"DrainMachine", "Terminate"}, {"ForgetNode", "ReplaceMachine"}},
	},
	{
		name: "replace that is called off", ends: after(size, size+1),
		prepare: drift(func(l *lane, ref api.Ref) { l.addPods(ref); l.allowEvictions(ref, false) }),
		act: func(l *lane, _ api.Ref) {
			l.change(func(c *api.Cluster) error {
				c.Spec.FindPool(api.DefaultPool).DrainTimeout = api.Duration(time.Second)
				return c.ReplaceMachine(l.machine(1))
			})
		},
		then: func(l *lane, ref api.Ref) {
			l.allowEvictions(ref, true)
			l.converge()
		},
		activities: [][]string{{"UncordonNode"}},
	},
	{
		name: "another machine spec", prepare: drift((*lane).addPods), act: respecified,
		home: home{placements: []api.Placement{dear("here"), larger("here")}}, ends: after(size, 2*size-1), concerns: 1,
		activities: [][]string{{"PlanPool", "DrainMachine", "Terminate"}, {"ForgetNode", "RepositionMachine"}},
	},
	{
		name: "another label", prepare: (*lane).ready, act: relabelled, ends: after(size, size), concerns: 1,
		activities: [][]string{{"UpdateNode"}},
	},
}

// after is a READY cluster with some machines, after no more launches than that takes.
func after(machines, launches int) ending {
	return ending{phase: api.PhaseReady, machines: machines, launches: launches}
}

// larger is a placement of larger machines.
func larger(region string) api.Placement {
	p := dear(region)
	p.InstanceType, p.CPUs, p.MemoryGiB = "s4", 4, 8
	p.PricePerMachine, p.PriceTotal = 2*p.PricePerMachine, 2*p.PriceTotal
	return p
}

// scaled changes the number of a cluster's machines.
func scaled(machines int) func(*lane, api.Ref) {
	return func(l *lane, _ api.Ref) { l.scale(machines) }
}

func (l *lane) scale(machines int) {
	l.t.Helper()
	l.change(func(c *api.Cluster) error { return c.Spec.ScaleTo(machines) })
}

// replaced asks for another machine in place of the first worker.
func replaced(l *lane, _ api.Ref) {
	l.change(func(c *api.Cluster) error { return c.ReplaceMachine(l.machine(1)) })
}

// respecified asks for larger workers.
func respecified(l *lane, _ api.Ref) {
	l.change(func(c *api.Cluster) error { c.Spec.FindPool(api.DefaultPool).Machine.CPUs = "4+"; return nil })
}

// relabelled gives the workers' Nodes a label.
func relabelled(l *lane, _ api.Ref) {
	l.change(func(c *api.Cluster) error {
		c.Spec.FindPool(api.DefaultPool).Labels = map[string]string{"team": "vision"}
		return nil
	})
}

// change changes the cluster as skyctl does for a person. If its spec was changed meanwhile, the person looks again.
func (l *lane) change(change func(*api.Cluster) error) {
	l.t.Helper()
	for {
		seen := l.find()
		if l.before == nil {
			l.before = seen
		}
		conflict := new(store.SpecConflictError)
		var err error
		l.insist("change", func() error {
			_, err = l.ops.ChangeSpec(l.t.Context(), seen, change)
			if errors.As(err, &conflict) {
				return nil
			}
			return err
		})
		if err == nil {
			return
		}
	}
}

// app runs on all workers, with a disruption budget.
const app = "shop"

// addPods starts a pod on each worker.
func (l *lane) addPods(ref api.Ref) {
	l.t.Helper()
	for _, m := range l.find().Status.Machines {
		if m.Role != api.RoleHead {
			l.check(l.cloud.AddPod(ref.UID, m.NodeName, "default/"+m.Name, app))
		}
	}
}

// allowEvictions changes the disruption budget of the pods.
func (l *lane) allowEvictions(ref api.Ref, allow bool) {
	l.t.Helper()
	l.check(l.cloud.SetDisruptionBudget(ref.UID, "default/"+app, app, allow))
}

// launchesOnce checks that no machine was launched twice.
func (l *lane) launchesOnce() {
	l.t.Helper()
	if l.before == nil {
		return
	}
	launched := map[string]string{}
	for _, m := range l.cloud.LaunchedMachines() {
		if id, again := launched[m.Incarnation]; again {
			l.t.Errorf("%s (%s) was launched twice: %s and %s", m.Name, m.Incarnation, id, m.ID)
		}
		launched[m.Incarnation] = m.ID
	}
}

// isChanged checks that a change has reached the wanted generation, has not touched the head, has used no index again,
// and has reserved and launched as many machines as expected.
func (l *lane) isChanged(c *api.Cluster, launches int) {
	l.t.Helper()
	if l.before == nil {
		return
	}
	if c.Status.ObservedGeneration != c.Metadata.Generation || !c.Spec.IsMetBy(c.Status.Machines) {
		l.t.Errorf("generation %d of %d is reached; machines %+v", c.Status.ObservedGeneration, c.Metadata.Generation,
			c.Status.Machines)
	}
	was, err := l.before.Head()
	l.check(err)
	head, err := c.Head()
	l.check(err)
	if head.Index != was.Index || head.Incarnation != was.Incarnation || head.CloudID != was.CloudID {
		l.t.Errorf("the head is %s (%s, %s), and was %s (%s, %s)", head.Name, head.CloudID, head.Incarnation, was.Name,
			was.CloudID, was.Incarnation)
	}
	next := l.before.Status.NextIndex
	for _, m := range c.Status.Machines {
		old := l.before.FindMachine(m.Name)
		if old == nil && m.Index < next || m.Index >= c.Status.NextIndex ||
			old != nil && m.Incarnation != old.Incarnation && !m.Replacement {
			l.t.Errorf("%s has an index that was used before; the next one was %d, and is %d", m.Name, next,
				c.Status.NextIndex)
		}
	}
	launched := l.cloud.LaunchedMachines()
	for _, m := range launched {
		next = max(next, m.Index+1)
	}
	if launches > 0 && (len(launched) != launches || c.Status.NextIndex != next) {
		l.t.Errorf("%d machines were launched, want %d: %s; the next index is %d, want %d", len(launched), launches,
			names(launched), c.Status.NextIndex, next)
	}
}
