package nodes

import (
	"maps"
	"slices"
	"testing"
	"time"

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

func TestPodsAreEncryptedWhereStrangersReachAllPorts(t *testing.T) {
	for exposed, port := range map[bool]string{false: "8472/udp", true: "51820/udp"} {
		head := &api.Machine{Role: api.RoleHead, Placement: api.Placement{Exposed: exposed}}
		got, known := overlayPort("", head)
		if node := newRKE2Node(&api.Cluster{}, head); node.EncryptPods != exposed || !known || got.String() != port {
			t.Errorf("exposed %v: encrypted %v at port %s", exposed, node.EncryptPods, got)
		}
	}
}

func TestNetworkPluginsHaveTheirOwnPorts(t *testing.T) {
	for cni, want := range map[string]string{"canal": "8472/udp", "cilium": "8472/udp", "calico": "4789/udp",
		"flannel": "4789/udp", "none": ""} {
		got, known := overlayPort(cni, &api.Machine{})
		if known != (want != "") || known && got.String() != want {
			t.Errorf("%s: %s, want %s", cni, got, want)
		}
	}
}

func TestTheIngressControllerStaysThatOfTheFirstRelease(t *testing.T) {
	pinned := &api.Artifacts{Version: "v1.36.3+rke2r1", Ingress: "ingress-nginx"}
	for _, tt := range []struct {
		wanted    string
		artifacts *api.Artifacts
		want      string
	}{
		{"", pinned, "ingress-nginx"}, {"none", pinned, "none"}, {"traefik", nil, "traefik"},
		{"", &api.Artifacts{Version: "v1.35.7+rke2r1"}, ""}, // of an older version of skyctl
		{"", nil, ""},
	} {
		c := &api.Cluster{Spec: api.ClusterSpec{Ingress: tt.wanted}, Status: api.ClusterStatus{Artifacts: tt.artifacts}}
		if node := newRKE2Node(c, &api.Machine{Role: api.RoleHead}); node.Ingress != tt.want {
			t.Errorf("%q with %+v: %q, want %q", tt.wanted, tt.artifacts, node.Ingress, tt.want)
		}
	}
}

func TestPoolsWithNodesAreProven(t *testing.T) {
	now := time.Now()
	c := &api.Cluster{}
	c.Status.Machines = []api.Machine{{Role: api.RoleHead, State: api.MachineReady},
		{Role: api.RoleWorker, State: api.MachineGone, ReadyAt: now},
		{Role: api.RoleWorker, Pool: "gpu", State: api.MachinePrepared}}
	for name, tt := range map[string]struct {
		machine api.Machine
		want    bool
	}{
		"another head":     {api.Machine{Role: api.RoleHead}, true},
		"of the first":     {api.Machine{Role: api.RoleWorker, Pool: api.DefaultPool}, true},
		"of another":       {api.Machine{Role: api.RoleWorker, Pool: "gpu"}, false},
		"in place of one":  {api.Machine{Role: api.RoleWorker, Pool: "gpu", Replacement: true}, true},
		"of an empty pool": {api.Machine{Role: api.RoleWorker, Pool: "new"}, false},
	} {
		all := *c
		all.Status.Machines = append(slices.Clone(c.Status.Machines), tt.machine)
		if got := newRequirements(&all, &tt.machine).Proven; got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestPodNetworkIsTheOneOfTheHeadsFirstStart(t *testing.T) {
	head := func(mtu int, exposed bool, state api.MachineState) api.Machine {
		return api.Machine{Role: api.RoleHead, MTU: mtu, State: state, Placement: api.Placement{Exposed: exposed}}
	}
	worker := api.Machine{Role: api.RoleWorker, Index: 1, Placement: api.Placement{Exposed: true}}
	for name, tt := range map[string]struct {
		head             api.Machine
		cni              string
		vxlan, wireguard bool
		packets          int
	}{
		"before it is prepared": {head(0, false, api.MachineLaunching), "", true, false, 0},
		"of an older version":   {head(0, false, api.MachineReady), "", true, false, 1450},
		"on GCP":                {head(1460, false, api.MachinePrepared), "canal", true, false, 1410},
		"exposed":               {head(1500, true, api.MachineReady), "", false, true, 1420},
		"cilium":                {head(1460, false, api.MachineReady), "cilium", true, false, 0},
		"none":                  {head(1460, true, api.MachineReady), "none", false, false, 0},
	} {
		c := &api.Cluster{Spec: api.ClusterSpec{Network: api.Network{CNI: tt.cni}}}
		c.Status.Machines = []api.Machine{tt.head, worker}
		if r := newRequirements(c, &worker); r.VXLAN != tt.vxlan || r.WireGuard != tt.wireguard ||
			r.PodMTU != tt.packets {
			t.Errorf("%s: %+v", name, r)
		}
		if r := newRequirements(c, &tt.head); r.PodMTU != 0 {
			t.Errorf("%s: the head: %+v", name, r)
		}
	}
}
