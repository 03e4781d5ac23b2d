package store_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// newLargeSnapshot returns the record of a snapshot of a cluster with several operators.
func newLargeSnapshot(cluster, number int) api.Snapshot {
	uid := fmt.Sprintf("0b1c2d3e-4f50-4a6b-8c7d-%012d", cluster)
	keys := map[string]int64{}
	for i := range 90 { // 60 of Kubernetes and RKE2, 30 of operators
		keys[fmt.Sprintf("/registry/resource.group%02d.example.com/things", i)] = int64(i * 17)
	}
	c := api.NewCluster(fmt.Sprintf("cluster-%d", cluster), uid, api.GroupSpec{Cloud: "aws", CPUs: "4+", Memory: "8+",
		NumNodes: 5, Region: "eu-central-1", Provision: true}, map[string]string{"team": "vision"}, time.Now())
	spec := c.Spec
	name := api.NewSnapshotName(api.SnapshotScheduled, time.Unix(int64(1_700_000_000+number*1800), 0))
	return api.Snapshot{Name: name, Cluster: c.Metadata.Name, ClusterUID: uid, Reason: api.SnapshotScheduled,
		State: api.SnapshotKept, TakenAt: time.Unix(int64(1_700_000_000+number*1800), 0), Machine: "sky-train-0",
		Incarnation: "x7k2p", NodeName: "sky-train-0-x7k2p", File: "etcd-snapshot-sky-train-0-x7k2p-1732446000",
		Bytes: 100 << 20, SHA256: "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef", Revision: 4821100,
		Keys: keys, Versions: api.Versions{RKE2: "v1.35.7+rke2r1"}, Labels: c.Metadata.Labels, Spec: &spec,
		Place: api.SnapshotPlaceSkyd, Object: uid + "/" + name, SealedBytes: 100<<20 + 256}
}

// 250 clusters with 48 snapshots each.
func BenchmarkListSnapshotsOf250Clusters(b *testing.B) {
	s := newWorld(b)
	for cluster := range 250 {
		for n := range 48 {
			if err := s.CreateSnapshot(b.Context(), newLargeSnapshot(cluster, n)); err != nil {
				b.Fatal(err)
			}
		}
	}
	record, _ := json.Marshal(newLargeSnapshot(0, 0))
	b.Logf("%d bytes a record", len(record))
	b.ReportAllocs()
	for b.Loop() {
		all, err := s.ListSnapshots(b.Context(), "")
		if err != nil || len(all) != 250*48 {
			b.Fatal(len(all), err)
		}
	}
}
