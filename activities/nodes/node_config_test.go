package nodes

import (
	"maps"
	"slices"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestNodesHaveTheLabelsAndTaintsOfTheirPool(t *testing.T) {
	c := &api.Cluster{Spec: api.NewClusterSpec(api.GroupSpec{NumNodes: 2, MaxNodes: 1000})}
	c.Spec.Pools = append(c.Spec.Pools, api.Pool{Name: "gpu", Labels: map[string]string{"tier": "train"},
		Taints: []string{"nvidia.com/gpu=present:NoSchedule"}})
	for name, tt := range map[string]struct {
		machine api.Machine
		labels  map[string]string
		taints  []string
	}{
		"the head": {api.Machine{Role: api.RoleHead}, nil, nil},
		"a worker of an older version": {api.Machine{Role: api.RoleWorker},
			map[string]string{api.NodeLabelPool: api.DefaultPool}, nil},
		"a machine of a pool": {api.Machine{Role: api.RoleWorker, Pool: "gpu"},
			map[string]string{api.NodeLabelPool: "gpu", "tier": "train"},
			[]string{"nvidia.com/gpu=present:NoSchedule"}},
		"a machine with a record": {api.Machine{Role: api.RoleWorker, Pool: "gpu",
			Node: &api.NodeSettings{Labels: map[string]string{"team": "vision"}}}, map[string]string{"team": "vision"},
			nil},
		"a machine of a deleted pool": {api.Machine{Role: api.RoleWorker, Pool: "old"},
			map[string]string{api.NodeLabelPool: "old"}, nil},
	} {
		node := newRKE2Node(c, &tt.machine)
		if !maps.Equal(node.Labels, tt.labels) || !slices.Equal(node.Taints, tt.taints) ||
			node.PodCIDR != "10.64.0.0/14" {
			t.Errorf("%s: labels %v, taints %v, pods in %s", name, node.Labels, node.Taints, node.PodCIDR)
		}
	}
	if labels := c.Spec.FindPool("gpu").Labels; len(labels) != 1 {
		t.Errorf("the pool's labels changed: %v", labels)
	}
}
