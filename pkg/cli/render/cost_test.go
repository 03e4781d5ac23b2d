package render

import (
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/fixture"
	"github.com/sky-shift/skyctl/test/golden"
)

func TestDescribeShowsCostAndPowerOffOfKeptMachines(t *testing.T) {
	golden.Compare(t, "describe-kept.txt", ClusterPage{Cluster: fixture.NewKeptCluster(), Now: fixture.Noon}.String())
}

func TestPowerOffIsShownOnlyForMachinesWithATimer(t *testing.T) {
	c := fixture.NewKeptCluster()
	c.Status.Machines[0].State, c.Status.Machines[1].PowerOffAt = api.MachineGone, time.Time{}
	if got := powerOffLines(c, fixture.Noon); len(got) > 0 {
		t.Errorf("got %q", got)
	}
}
