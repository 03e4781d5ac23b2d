package plan

import (
	"github.com/sky-shift/skyctl/pkg/api"
)

// Step is one thing that a change of a cluster's spec leads to.
type Step struct {
	// Kind is api.ActionAddMachines, api.ActionRemove or api.ActionReplace.
	Kind api.ActionKind
	Pool string
	// Machine is the name of the machine that is removed or replaced. Machines that are added have no names yet.
	Machine string
	// Count is the number of machines that are added; 1 otherwise.
	Count int
	// PricePerHour is the price of the machines of the step in US dollars.
	PricePerHour float64
	// Why says, for people, why this machine is removed or replaced; empty for machines that are added.
	Why string
}

// ChangeSteps returns what a change of a cluster's spec, or of the marks of its machines, leads to: in the order of the
// spec's pools the machines that are added, then those that are removed, then those that are replaced. The choice is
// that of Decide for the same observation; without Nodes, it is made by the records. prices are US dollars per hour for
// a machine that is added, by pool. What is under way already is no step of the change.
func ChangeSteps(before, after *api.Cluster, observed Observation, prices map[string]float64) []Step {
	old, changed := newPlanner(before, observed, Policy{}), newPlanner(after, observed, Policy{})
	var steps []Step
	for _, pool := range after.Spec.Pools {
		added := changed.countMissing(pool)
		if p := before.Spec.FindPool(pool.Name); p != nil {
			added -= old.countMissing(*p)
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
		}
	}
	return append(steps, replaced...)
}

// PricePerHour is the price of a cluster in US dollars per hour once its machines are those that its spec requests.
// prices are those of machines that are added, by pool.
func PricePerHour(c *api.Cluster, prices map[string]float64) float64 {
	p := newPlanner(c, Observation{}, Policy{})
	sum := 0.0
	for _, m := range p.records {
		if p.leaving[m] == "" {
			sum += m.Placement.PricePerMachine
		}
	}
	for _, pool := range c.Spec.Pools {
		sum += float64(p.countMissing(pool)) * prices[pool.Name]
	}
	return sum
}
