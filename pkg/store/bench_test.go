package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

// full is a cluster with all fields that a list reads.
func full(name, uid string) *api.Cluster {
	c := cluster(name, uid)
	now := time.Now().UTC()
	for _, p := range []api.Phase{api.PhaseProvisioning, api.PhaseError, api.PhaseProvisioning, api.PhaseReady} {
		c.Status.SetPhase(p, "because", now)
	}
	for _, t := range []api.ConditionType{api.MachinesLaunched, api.MachinesPrepared, api.ControlPlaneReady,
		api.NodesReady} {
		c.Status.SetCondition(api.Condition{Type: t, Status: api.ConditionTrue, Reason: "Done",
			Message: "3 of 3 machines"}, now)
	}
	c.Status.Placement = &api.Placement{Cloud: "aws", Region: "us-east-1", InstanceType: "m6i.large", CPUs: 2,
		MemoryGiB: 8, PricePerMachine: 0.096, PriceTotal: 0.288}
	c.Status.Resources = api.Resources{CPUs: api.Amount{Available: 2.01, Total: 4},
		Memory: api.Amount{Available: 12.67, Total: 15.63}, Disk: api.Amount{Available: 239.15, Total: 239.15}}
	c.Status.Versions = api.Versions{RKE2: "v1.35.7+rke2r1", Kubernetes: "v1.35.7"}
	c.Status.Endpoint = "https://10.0.0.1:6443"
	c.Status.Artifacts = &api.Artifacts{Version: "v1.35.7+rke2r1", Source: "release",
		SHA256: map[string]string{"amd64": fmt.Sprintf("%064x", 1), "arm64": fmt.Sprintf("%064x", 2)}}
	return c
}

// BenchmarkListOfThousand measures what skyctl get clusters does, including the connection.
func BenchmarkListOfThousand(b *testing.B) {
	w := newWorld(b)
	for i := range 1000 {
		_, err := w.CreateCluster(b.Context(),
			full(fmt.Sprintf("cluster-%04d", i), fmt.Sprintf("00000000-0000-4000-8000-%012d", i)))
		must(b, err)
	}
	b.Run("connected", func(b *testing.B) {
		for b.Loop() {
			list, err := w.ListClusters(b.Context())
			must(b, err)
			if len(list) != 1000 {
				b.Fatal(len(list))
			}
		}
	})
	b.Run("overview", func(b *testing.B) {
		for b.Loop() {
			list, err := w.ListClusterSummaries(b.Context())
			must(b, err)
			if len(list) != 1000 {
				b.Fatal(len(list))
			}
		}
	})
	b.Run("connecting", func(b *testing.B) {
		for b.Loop() {
			s, err := store.Open(b.Context(), store.Options{Endpoints: []string{shared}, Prefix: w.prefix})
			must(b, err)
			_, err = s.ListClusterSummaries(b.Context())
			must(b, err)
			must(b, s.Close())
		}
	})
}
