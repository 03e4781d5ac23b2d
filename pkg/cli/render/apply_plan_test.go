package render

import (
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/plan"
	"github.com/sky-shift/skyctl/test/golden"
)

func TestApplyPlanShowsEveryKindOfDifference(t *testing.T) {
	replacing := api.ChangeRule{Way: api.ChangeByReplacing, Why: "a machine keeps what it was launched with"}
	freely := api.ChangeRule{Way: api.ChangeFreely}
	field := func(path, before, after string, rule api.ChangeRule) FieldChange {
		return NewFieldChange(api.FieldDifference{Path: path, Before: before, After: after, Change: rule})
	}
	since := field("spec.pools[default].replicas", "5", "3", freely)
	since.ChangedSince, since.LastApplied = true, "3"
	unset := field("metadata.labels[owner]", "ann", "", freely)
	unset.ChangedSince = true
	bought := field("spec.pools[gpu].machine.max_hourly_cost", "20", "30", freely)
	changed := ClusterChange{Name: "train", Action: "change", PriceBefore: 12.5, PriceAfter: 40.25,
		Fields: []FieldChange{field("metadata.labels[team]", "", "vision", freely), unset, since,
			field("spec.pools[gpu].replicas", "4", "8", freely), bought,
			field("spec.pools[gpu].machine.disk_size", "100", "200", replacing),
			field("spec.pools[gpu].taints", "a=b:NoSchedule", "", freely)}}
	changed = changed.WithSteps([]plan.Step{
		{Kind: api.ActionAddMachines, Pool: "gpu", Count: 4, PricePerHour: 27.75},
		{Kind: api.ActionRemove, Pool: "default", Machine: "sky-train-4", Count: 1, Why: "its pool has 2 too many"},
		{Kind: api.ActionReplace, Pool: "gpu", Machine: "sky-train-2", Count: 1, PricePerHour: 3},
	})
	created := ClusterChange{Name: "web", Action: "create", PriceAfter: 0.6, Fields: []FieldChange{
		field("spec.cloud", "", "aws", api.ChangeRule{Way: api.ChangeNever, Why: "x", Instead: "y"}),
		field("spec.pools[default].machine.cpus", "", "4+", replacing)}}
	created = created.WithSteps([]plan.Step{{Kind: api.ActionAddMachines, Count: 1, PricePerHour: 0.2},
		{Kind: api.ActionAddMachines, Pool: "default", Count: 2, PricePerHour: 0.4}})
	created = created.WithOverhead(api.NewClusterSpec(api.GroupSpec{NumNodes: 3}))
	free := ClusterChange{Name: "lab", Action: "change",
		Fields: []FieldChange{field("spec.pools[default].labels[tier]", "web", "lab", freely)}}
	refused := ClusterChange{Name: "old", Action: "change", Fields: []FieldChange{
		field("spec.region", "us-east-1", "us-west-2", api.ChangeRule{Way: api.ChangeNever,
			Why:     "the network of the cluster and its server are there",
			Instead: "create another cluster and move the workload there"})}}
	page := NewApplyPlan([]ClusterChange{changed, created, free, refused, {Name: "dev", Action: "same"},
		{Name: "half", Action: "resume"}})
	golden.Compare(t, "apply-plan.txt", page.String())
}
