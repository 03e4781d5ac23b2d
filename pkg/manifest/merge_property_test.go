package manifest_test

import (
	"bytes"
	"testing"
	"testing/quick"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/manifest"
)

// checkProperty tries a property with random pairs of clusters.
func checkProperty(t *testing.T, holds any) {
	t.Helper()
	if err := quick.Check(holds, &quick.Config{MaxCount: 300}); err != nil {
		t.Error(err)
	}
}

// replacePart replaces one part of a cluster with that of another one.
func replacePart(c *api.Cluster, other api.Cluster, part uint8) {
	spec, from := &c.Spec, other.Spec.Clone()
	switch part % 10 {
	case 0:
		c.Metadata.Labels = other.Metadata.Labels
	case 1:
		spec.Cloud = from.Cloud
	case 2:
		spec.Ports = from.Ports
	case 3:
		spec.GPU = from.GPU
	case 4:
		spec.Network = from.Network
	case 5:
		spec.ControlPlane.Machine.CPUs = from.ControlPlane.Machine.CPUs
	case 6:
		if len(spec.Pools) > 0 && len(from.Pools) > 0 {
			from.Pools[0].Name = spec.Pools[0].Name
			spec.Pools[0] = from.Pools[0]
		}
	case 7:
		spec.Pools = spec.Pools[:len(spec.Pools)/2]
	case 8:
		if len(spec.Pools) > 0 && len(from.Pools) > 0 {
			spec.Pools[0].Labels, spec.Pools[0].Taints = from.Pools[0].Labels, from.Pools[0].Taints
		}
	}
	c.SetDefaults()
}

func TestADiffIsEmptyExactlyWhereClustersAreEqual(t *testing.T) {
	equal := 0
	checkProperty(t, func(a, b randomCluster, part uint8) bool {
		changed := *a.Cluster
		changed.Spec = a.Spec.Clone()
		replacePart(&changed, *b.Cluster, part)
		before, err := manifest.Export(a.Cluster)
		if err != nil {
			t.Fatal(err)
		}
		after, err := manifest.Export(&changed)
		if err != nil {
			t.Fatal(err)
		}
		same, differences := bytes.Equal(before, after), api.CompareClusters(a.Cluster, &changed)
		if same {
			equal++
		}
		if same != (len(differences) == 0) {
			t.Logf("differences %+v between\n%s\nand\n%s", differences, before, after)
		}
		return same == (len(differences) == 0)
	})
	if equal == 0 {
		t.Error("no two clusters were equal")
	}
}

func TestAnExportedFileIsTheCluster(t *testing.T) {
	checkProperty(t, func(a randomCluster) bool {
		again, err := export(t, a.Cluster).NewCluster(now)
		if err != nil {
			t.Log(err)
			return false
		}
		differences := api.CompareClusters(a.Cluster, again)
		if len(differences) > 0 {
			t.Logf("%+v", differences)
		}
		return len(differences) == 0
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
		if b.Spec.Network.CNI == "" || b.Spec.Ingress == "" || b.Spec.EnableServiceLB == nil {
			b.Spec.Network.CNI, b.Spec.Ingress = a.Spec.Network.CNI, a.Spec.Ingress
			b.Spec.EnableServiceLB = a.Spec.EnableServiceLB
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
