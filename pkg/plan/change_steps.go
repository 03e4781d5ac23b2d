package plan

import (
	"slices"

	"github.com/sky-shift/skyctl/pkg/api"
)

// Step is one thing that a change of a cluster's spec leads to.
type Step struct {
	// Kind is api.ActionAddMachines, api.ActionRemove, api.ActionReplace or api.ActionUpdateNode.
	Kind api.ActionKind
	Pool string
	// Machine is the name of the machine that is removed or replaced. Machines that are added have no names yet, and
	// the Nodes of a pool that are updated alike are one step.
	Machine string
	// Count is the number of machines that are added, or of Nodes that are updated; 1 otherwise.
	Count int
	// PricePerHour is the price of the machines of the step in US dollars: of those that are there, or are added.
	PricePerHour float64
	// Why says, for people, why this machine is removed or replaced, or what of its Node is updated; empty for machines
	// that are added.
	Why string
}

// ChangeSteps returns what a change of a cluster's spec, or of the marks of its machines, leads to: in the order of the
// spec's pools the machines that are added, then those that are removed, then those that are replaced, then the Nodes
// that get other labels or taints. The choice is
// that of Decide for the same observation; without Nodes, it is made by the records. prices are US dollars per hour for
// a machine that is added, by pool. What is under way already is no step of the change.
func ChangeSteps(before, after *api.Cluster, observed Observation, prices map[string]float64) []Step {
	old, changed := newPlanner(before, observed, Policy{}), newPlanner(after, observed, Policy{})
	var steps []Step
	for _, pool := range after.Spec.Pools {
		added := changed.countLacking(pool)
		if p := before.Spec.FindPool(pool.Name); p != nil {
			added -= old.countLacking(*p)
		}
		if added > 0 {
			steps = append(steps, Step{Kind: api.ActionAddMachines, Pool: pool.Name, Count: added,
				PricePerHour: float64(added) * prices[pool.Name]})
		}
	}
	var replaced []Step
	for _, m := range changed.records {
		known := old.machinesByName[m.Name]
		step := Step{Pool: m.PoolName(), Machine: m.Name, Count: 1, PricePerHour: m.Placement.PricePerMachine}
		switch why := changed.leaving[m]; {
		case why != "" && (known == nil || old.leaving[known] == ""):
			step.Kind, step.Why = api.ActionRemove, why
			steps = append(steps, step)
		case why == "" && m.ReplaceAsked && !isHead(m) && (known == nil || !known.ReplaceAsked):
			step.Kind, step.Why = api.ActionReplace, askedReplacement
			replaced = append(replaced, step)
		case why == "" && changed.outdated[m] != "" && (known == nil || old.outdated[known] != changed.outdated[m]):
			step.Kind, step.Why = api.ActionReplace, changed.outdated[m]
			replaced = append(replaced, step)
		}
	}
	return slices.Concat(steps, replaced, nodeSteps(old, changed))
}

// nodeSteps returns the updates of Nodes, one for those of a pool that change alike.
func nodeSteps(old, changed *planner) []Step {
	var steps []Step
	for _, m := range changed.records {
		why := changed.cluster.DescribeNodeChange(*m)
		if known := old.machinesByName[m.Name]; why == "" || m.State != api.MachineReady || changed.leaving[m] != "" ||
			known != nil && old.cluster.DescribeNodeChange(*known) == why {
			continue
		}
		i := slices.IndexFunc(steps, func(s Step) bool { return s.Pool == m.PoolName() && s.Why == why })
		if i < 0 {
			i, steps = len(steps), append(steps, Step{Kind: api.ActionUpdateNode, Pool: m.PoolName(), Why: why})
		}
		steps[i].Count++
		steps[i].PricePerHour += m.Placement.PricePerMachine
	}
	return steps
}

// PricePerHour is the price of a cluster in US dollars per hour once its machines are those that its spec requests.
// prices are those of machines that are added, or that replace one with another machine spec, by pool.
func PricePerHour(c *api.Cluster, prices map[string]float64) float64 {
	p := newPlanner(c, Observation{}, Policy{})
	sum := 0.0
	for _, m := range p.records {
		price, known := prices[m.PoolName()]
		switch {
		case p.leaving[m] != "":
		case p.outdated[m] != "" && known:
			sum += price
		default:
			sum += m.Placement.PricePerMachine
		}
	}
	for _, pool := range c.Spec.Pools {
		sum += float64(p.countLacking(pool)) * prices[pool.Name]
	}
	return sum
}
