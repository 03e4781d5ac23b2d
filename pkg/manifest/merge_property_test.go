package manifest_test

import (
	"testing"
	"testing/quick"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/manifest"
)

// checkProperty tries a property with random pairs of clusters.
func checkProperty(t *testing.T, holds func(a, b randomCluster) bool) {
	t.Helper()
	if err := quick.Check(holds, &quick.Config{MaxCount: 300}); err != nil {
		t.Error(err)
	}
}

func TestAnExportedFileIsTheCluster(t *testing.T) {
	checkProperty(t, func(a, b randomCluster) bool {
		again, err := export(t, a.Cluster).NewCluster(now)
		if err != nil {
			t.Log(err)
			return false
		}
		differences := api.CompareClusters(a.Cluster, again)
		if len(differences) > 0 {
			t.Logf("%+v", differences)
		}
		return len(differences) == 0 && (len(api.CompareClusters(again, b.Cluster)) == 0) ==
			(len(api.CompareClusters(a.Cluster, b.Cluster)) == 0)
	})
}

// applyFile is what an apply leads to.
func applyFile(t *testing.T, stored *api.Cluster, file manifest.Document) *api.Cluster {
	t.Helper()
	spec, labels, err := file.MergeInto(stored)
	if err != nil {
		t.Fatal(err)
	}
	after := *stored
	after.Spec, after.Metadata.Labels, after.Metadata.LastApplied = spec, labels, file.LastApplied()
	return &after
}

func TestApplyingLeadsToTheSecondOfTwoClusters(t *testing.T) {
	checkProperty(t, func(a, b randomCluster) bool {
		if b.Spec.KubernetesVersion == "" || b.Spec.RKE2.Source == "" || b.Spec.GPU.ChartRepo == "" {
			// A file that leaves out a setting keeps what is there.
			b.Spec.KubernetesVersion, b.Spec.RKE2, b.Spec.GPU = a.Spec.KubernetesVersion, a.Spec.RKE2, a.Spec.GPU
		}
		a.Metadata.LastApplied = export(t, a.Cluster).LastApplied()
		file := export(t, b.Cluster)
		after := applyFile(t, a.Cluster, file)
		differences := api.CompareClusters(after, b.Cluster)
		if len(differences) > 0 {
			t.Logf("%+v", differences)
			return false
		}
		return len(api.CompareClusters(after, applyFile(t, after, file))) == 0
	})
}

func TestAFileWithoutALastOneOnlyAdds(t *testing.T) {
	checkProperty(t, func(a, b randomCluster) bool {
		after := applyFile(t, a.Cluster, export(t, b.Cluster))
		for _, p := range a.Spec.Pools {
			if after.Spec.FindPool(p.Name) == nil {
				return false
			}
		}
		for key := range a.Metadata.Labels {
			if _, has := after.Metadata.Labels[key]; !has {
				return false
			}
		}
		return len(api.CompareClusters(after, applyFile(t, after, export(t, b.Cluster)))) == 0
	})
}
