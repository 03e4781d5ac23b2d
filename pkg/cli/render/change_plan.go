package render

import (
	"fmt"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/plan"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// ChangePlan is what a dry run of a change prints. Prices are US dollars per hour.
type ChangePlan struct {
	APIVersion string       `json:"apiVersion"`
	Kind       string       `json:"kind"`
	Steps      []ChangeStep `json:"steps"`
	// PriceBefore and PriceAfter are those of the whole cluster.
	PriceBefore float64 `json:"price_before_hour"`
	PriceAfter  float64 `json:"price_after_hour"`
}

// ChangeStep is one thing that the change leads to.
type ChangeStep struct {
	// Action is add, remove, replace or update.
	Action string `json:"action"`
	Pool   string `json:"pool"`
	// Machine is empty for machines that are added, which have no names yet, and for Nodes that are updated.
	Machine string `json:"machine,omitempty"`
	Count   int    `json:"count"`
	// Price is that of the machines of the step.
	Price float64 `json:"price_hour"`
	Why   string  `json:"why,omitempty"`
}

// NewChangePlan returns what a change leads to. prices are those of a machine that is added, by pool.
func NewChangePlan(before, after *api.Cluster, prices map[string]float64) ChangePlan {
	return ChangePlan{APIVersion: api.APIVersion, Kind: "ChangePlan",
		Steps:       newChangeSteps(plan.ChangeSteps(before, after, plan.Observation{}, prices)),
		PriceBefore: plan.PricePerHour(before, prices), PriceAfter: plan.PricePerHour(after, prices)}
}

func newChangeSteps(planned []plan.Step) []ChangeStep {
	words := map[api.ActionKind]string{api.ActionAddMachines: "add", api.ActionRemove: "remove",
		api.ActionReplace: "replace", api.ActionUpdateNode: "update"}
	steps := []ChangeStep{}
	for _, s := range planned {
		steps = append(steps, ChangeStep{Action: words[s.Kind], Pool: s.Pool, Machine: s.Machine, Count: s.Count,
			Price: s.PricePerHour, Why: s.Why})
	}
	return steps
}

// String is the plan for people.
func (p ChangePlan) String() string {
	if len(p.Steps) == 0 {
		return "Nothing to change.\n"
	}
	return formatSteps(p.Steps, p.PriceBefore, p.PriceAfter)
}

// formatSteps is the table of the steps, and the price of the cluster before and after them.
func formatSteps(steps []ChangeStep, before, after float64) string {
	isFree := before == 0 && after == 0
	dollars := func(v float64) string {
		if isFree {
			return "free"
		}
		return FormatDollars(v, &api.Placement{PricePerMachine: 1})
	}
	t := &Table{head: []string{"STEP", "MACHINE", "POOL", "PRICE/H", "WHY"}}
	chosen := false
	for _, s := range steps {
		machine := s.Machine
		if machine == "" {
			machine = FormatCount(s.Count, map[bool]string{true: "Node", false: "new machine"}[s.Action == "update"])
		}
		chosen = chosen || s.Action == "remove"
		t.addRow(textCell(s.Action), textCell(machine), textCell(orControlPlane(s.Pool)), textCell(dollars(s.Price)),
			textCell(ValueOrDash(printable.Line(s.Why))))
	}
	var b strings.Builder
	b.WriteString(t.String())
	fmt.Fprintf(&b, "\nPrice per hour of the cluster: %s before, %s after.\n", dollars(before),
		dollars(after))
	if chosen {
		b.WriteString("Which machines leave is decided as the change is carried out: then those with the fewest pods " +
			"go first, unless you name one.\n")
	}
	return b.String()
}

// orControlPlane is the name of a pool; the servers have none.
func orControlPlane(pool string) string {
	if pool == "" {
		return "(control plane)"
	}
	return pool
}
