package render

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/fixture"
	"github.com/sky-shift/skyctl/test/golden"
)

func TestWatchKeepsItsColumnWidths(t *testing.T) {
	later := fixture.NewReadyCluster()
	later.Metadata.Name = "cloud-cluster-2"
	for _, wide := range []bool{false, true} {
		c := fixture.NewFreshCluster()
		c.Status.Phase = api.PhaseInit
		w := NewWatchTable([]api.Cluster{*c}, wide, fixture.Noon, nil)
		text := w.String()
		for _, p := range []api.Phase{api.PhaseProvisioning, api.PhaseReady, api.PhaseDeleting, "DELETED"} {
			c.Status.Phase = p
			if p == api.PhaseReady {
				c.Status.Resources = fixture.NewReadyCluster().Status.Resources
			}
			text += w.RenderNextRow(ClusterRow(c, wide, fixture.Noon.Add(40*time.Minute))...)
		}
		text += w.RenderNextRow(ClusterRow(later, wide, fixture.Noon)...)
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
			t.Errorf("a watch keeps %d rows", len(w.rows))
		}
	}
}

func TestWatchKeepsAWidenedColumn(t *testing.T) {
	short, long := fixture.NewFreshCluster(), fixture.NewFreshCluster()
	long.Metadata.Name = strings.Repeat("n", api.MaxNameLength)
	w := NewWatchTable([]api.Cluster{*short}, false, fixture.Noon, nil)
	_ = w.String()
	a, b := w.RenderNextRow(ClusterRow(long, false, fixture.Noon)...), w.RenderNextRow(ClusterRow(short, false,
		fixture.Noon)...)
	if strings.Index(a, "k8") != api.MaxNameLength+2 || strings.Index(b, "k8") != api.MaxNameLength+2 {
		t.Errorf("got\n%s%s", a, b)
	}
}

func TestTableMarksDriftedAndPausedClusters(t *testing.T) {
	a, b := fixture.NewDriftedCluster(), fixture.NewDriftedCluster()
	c, d := fixture.NewReadyCluster(), fixture.NewDriftedCluster()
	b.Status.PausedAt, c.Status.PausedAt = fixture.Noon, fixture.Noon
	// earlier results of sweeps no longer matter
	d.Status.Phase = api.PhaseDeleting
	c.Status.Drift = []api.Drift{{Machine: "sky-train-1", Reason: api.DriftNodeCordoned}} // set by a user
	golden.Compare(t, "table-drifted.txt", NewClusterTable([]api.Cluster{*a, *b, *c, *d}, false, fixture.Noon).String())
}

func TestTableHasTheDocumentedColumns(t *testing.T) {
	golden.Compare(t, "table-fresh.txt", NewClusterTable([]api.Cluster{*fixture.NewFreshCluster()}, false,
		fixture.Noon).String())
	known := fixture.NewFreshCluster()
	known.Metadata.CreatedAt = fixture.TimeAgo(4 * time.Minute)
	known.Status.Phase = api.PhaseReady
	known.Status.Resources = api.Resources{CPUs: api.Amount{Available: 2.01, Total: 4},
		Memory: api.Amount{Available: 12.67, Total: 15.63}, Disk: api.Amount{Available: 239.15, Total: 239.15}}
	golden.Compare(t, "table-known.txt", NewClusterTable([]api.Cluster{*known}, false, fixture.Noon).String())
	golden.Compare(t, "table-several.txt", NewClusterTable([]api.Cluster{*fixture.NewFreshCluster(),
		*fixture.NewReadyCluster(),
		*fixture.NewFailedCluster()}, false, fixture.Noon).String())
	golden.Compare(t, "table-wide.txt", NewClusterTable([]api.Cluster{*fixture.NewFreshCluster(),
		*fixture.NewReadyCluster()}, true,
		fixture.Noon).String())
	golden.Compare(t, "table-none.txt", NewClusterTable(nil, false, fixture.Noon).String())
}

func TestTablesMatchTheTranscript(t *testing.T) {
	for file, want := range map[string]string{
		"table-fresh.txt": "NAME           MANAGER    LABELS    RESOURCES    STATUS        AGE\n" +
			"cloud-cluster  k8                   {}           PROVISIONING  10s\n",
		"table-known.txt": "NAME           MANAGER    LABELS    RESOURCES                  STATUS    AGE\n" +
			"cloud-cluster  k8                   cpus: 2.01/4.0             READY     4m\n" +
			"                                    memory: 12.67 GB/15.63 GB\n" +
			"                                    disk: 239.15 GB/239.15 GB\n",
	} {
		got, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s:\n%s\nwant:\n%s", file, got, want)
		}
	}
}
