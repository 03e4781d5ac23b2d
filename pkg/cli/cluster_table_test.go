package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestTheColumnsOfAWatchStayWhereTheyAre(t *testing.T) {
	later := newReadyCluster()
	later.Metadata.Name = "cloud-cluster-2"
	for _, wide := range []bool{false, true} {
		c := newFreshCluster()
		c.Status.Phase = api.PhaseInit
		w := newWatchTable([]api.Cluster{*c}, wide, noon)
		text := w.String()
		for _, p := range []api.Phase{api.PhaseProvisioning, api.PhaseReady, api.PhaseDeleting, "DELETED"} {
			c.Status.Phase = p
			if p == api.PhaseReady {
				c.Status.Resources = newReadyCluster().Status.Resources
			}
			text += w.renderNextRow(clusterRow(c, wide, noon.Add(40*time.Minute))...)
		}
		text += w.renderNextRow(clusterRow(later, wide, noon)...)
		lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
		for _, column := range strings.Fields(lines[0])[1:] {
			at := strings.Index(lines[0], " "+column) + 1
			for _, l := range lines[1:] {
				if len(l) > at && l[at-1] != ' ' || !strings.HasPrefix(l, " ") && l[at] == ' ' && column != "LABELS" {
					t.Errorf("column %s has moved in %q:\n%s", column, l, text)
				}
			}
		}
		if len(w.rows) != 1 {
			t.Errorf("%d rows are kept of a watch that may last for days", len(w.rows))
		}
	}
}

func TestARowOfAWatchThatNeedsMoreRoomGetsItForGood(t *testing.T) {
	short, long := newFreshCluster(), newFreshCluster()
	long.Metadata.Name = strings.Repeat("n", api.MaxNameLength)
	w := newWatchTable([]api.Cluster{*short}, false, noon)
	_ = w.String()
	a, b := w.renderNextRow(clusterRow(long, false, noon)...), w.renderNextRow(clusterRow(short, false, noon)...)
	if strings.Index(a, "k8") != api.MaxNameLength+2 || strings.Index(b, "k8") != api.MaxNameLength+2 {
		t.Errorf("got\n%s%s", a, b)
	}
}
