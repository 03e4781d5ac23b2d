package render

import (
	"fmt"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/plan"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// ApplyPlan is what skyctl diff prints: what an apply of files does.
type ApplyPlan struct {
	APIVersion string          `json:"apiVersion"`
	Kind       string          `json:"kind"`
	Clusters   []ClusterChange `json:"clusters"`
	// Pruned are the clusters that a prune deletes; nil without a prune.
	Pruned *PruneList `json:"pruned,omitempty"`
}

// NewApplyPlan returns the plan for clusters.
func NewApplyPlan(clusters []ClusterChange) ApplyPlan {
	return ApplyPlan{APIVersion: api.APIVersion, Kind: "ApplyPlan", Clusters: append([]ClusterChange{}, clusters...)}
}

// ClusterChange is what an apply does with a cluster. Prices are US dollars per hour for the whole cluster.
type ClusterChange struct {
	Name string `json:"name"`
	// Action is create, change, resume or same.
	Action      string        `json:"action"`
	Fields      []FieldChange `json:"fields"`
	Steps       []ChangeStep  `json:"steps"`
	PriceBefore float64       `json:"price_before_hour"`
	PriceAfter  float64       `json:"price_after_hour"`
	// Overhead is what RKE2's own pods request of the machines of a new cluster; empty for others.
	Overhead string `json:"overhead,omitempty"`
}

// FieldChange is a field that changes. Before and After are empty if the field is not set.
type FieldChange struct {
	Path   string `json:"path"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	// Way is how the field changes: freely, by replacing machines, or never. Then Why and Instead say why not, and what
	// to do.
	Way     api.ChangeWay `json:"way"`
	Why     string        `json:"why,omitempty"`
	Instead string        `json:"instead,omitempty"`
	// ChangedSince: another command has changed the field since the last apply, which set it to LastApplied.
	ChangedSince bool   `json:"changed_since,omitempty"`
	LastApplied  string `json:"last_applied,omitempty"`
}

// NewFieldChange returns a difference as a field that changes.
func NewFieldChange(d api.FieldDifference) FieldChange {
	return FieldChange{Path: d.Path, Before: d.Before, After: d.After, Way: d.Change.Way, Why: d.Change.Why,
		Instead: d.Change.Instead}
}

// WithOverhead returns the change with what RKE2's own pods request of a new cluster.
func (c ClusterChange) WithOverhead(s api.ClusterSpec) ClusterChange {
	c.Overhead = describeOverhead(s)
	return c
}

// WithSteps returns the change with the planner's steps.
func (c ClusterChange) WithSteps(steps []plan.Step) ClusterChange {
	c.Steps = newChangeSteps(steps)
	return c
}

// String is the plan for people: fields, then steps, then prices.
func (p ApplyPlan) String() string {
	var parts []string
	for _, c := range p.Clusters {
		parts = append(parts, c.String())
	}
	if p.Pruned != nil {
		parts = append(parts, p.Pruned.String())
	}
	return strings.Join(parts, "\n")
}

// String is the part of a cluster.
func (c ClusterChange) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "cluster/%s %s\n", c.Name, c.headline())
	for _, f := range c.Fields {
		if c.Action == "create" {
			f.Way = api.ChangeFreely // nothing is there yet
		}
		fmt.Fprintf(&b, "  %s\n", printable.Line(f.String()))
	}
	switch {
	case len(c.Steps) > 0:
		b.WriteString("\n" + formatSteps(c.Steps, c.PriceBefore, c.PriceAfter))
		if c.Overhead != "" {
			b.WriteString("RKE2's own pods request " + c.Overhead + ".\n")
		}
	case len(c.Fields) > 0 && c.isAllowed():
		b.WriteString("\nNo machine is added, removed or replaced.\n")
	}
	return b.String()
}

// headline says what becomes of the cluster.
func (c ClusterChange) headline() string {
	switch c.Action {
	case "create":
		return "does not exist and is created:"
	case "resume":
		return "is as its file says, but its create has not ended: it goes on."
	case "same":
		return "is as its file says."
	}
	if !c.isAllowed() {
		return "cannot change in this way:"
	}
	return "changes:"
}

// isAllowed is false if a field cannot change.
func (c ClusterChange) isAllowed() bool {
	if c.Action != "change" {
		return true
	}
	for _, f := range c.Fields {
		if f.Way == api.ChangeNever {
			return false
		}
	}
	return true
}

// String is one line: the sign of the change, the path, the values, and what is special about it.
func (f FieldChange) String() string {
	var text string
	before, after := api.SummarizeText(f.Before), api.SummarizeText(f.After)
	switch {
	case f.Before == "":
		text = fmt.Sprintf("+ %s: %s", f.Path, after)
	case f.After == "":
		text = fmt.Sprintf("- %s: %s", f.Path, before)
	default:
		text = fmt.Sprintf("~ %s: %s -> %s", f.Path, before, after)
	}
	return text + f.remark()
}

// remark says how the field changes, if its machines do not stay, and what was applied last.
func (f FieldChange) remark() string {
	var parts []string
	switch {
	case f.ChangedSince && f.LastApplied == "":
		parts = append(parts, "not set when last applied")
	case f.ChangedSince:
		parts = append(parts, "was "+api.SummarizeText(f.LastApplied)+" when last applied")
	}
	switch f.Way {
	case api.ChangeByReplacing:
		parts = append(parts, "by replacing machines")
	case api.ChangeNever:
		parts = append(parts, "refused: "+f.Why+"; "+f.Instead)
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, "; ") + ")"
}
