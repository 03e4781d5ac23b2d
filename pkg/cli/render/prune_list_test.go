package render

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/fixture"
	"github.com/sky-shift/skyctl/test/golden"
)

func TestPruneListNamesClustersMachinesAndPrices(t *testing.T) {
	a := fixture.NewReadyCluster()
	a.Metadata.Labels = map[string]string{"team": "vision"}
	for i := range a.Status.Machines {
		a.Status.Machines[i].Placement.PricePerMachine = 1.25
	}
	b := fixture.NewReadyCluster()
	b.Metadata.Name, b.Status.Phase, b.Status.Machines = "large", api.PhaseError, nil
	for i := range 20 {
		m := api.NewMachine("large", i, "default", "inc", api.Placement{Cloud: "aws", PricePerMachine: 0.5},
			fixture.Noon.Add(-time.Hour))
		m.SetState(api.MachineReady, "", fixture.Noon.Add(-time.Hour))
		b.Status.Machines = append(b.Status.Machines, m)
	}
	list := NewPruneList([]api.Cluster{*a, *b}, fixture.Noon)
	golden.Compare(t, "prune-list.txt", list.String())
	if text, err := json.Marshal(list); err != nil || !strings.Contains(string(text), `"sky-large-19"`) {
		t.Errorf("%v, %s", err, text)
	}
	if got := (PruneList{}).String(); got != "Nothing to prune.\n" {
		t.Errorf("%q", got)
	}
}
