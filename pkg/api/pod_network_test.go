package api

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
)

func TestPodNetworksHaveRoomAndNoOverlap(t *testing.T) {
	const maxPods = 110 // of a kubelet
	if addresses := 1<<(32-NodePodMask) - 2; addresses < 2*maxPods {
		t.Errorf("a node has %d addresses for %d pods and their successors", addresses, maxPods)
	}
	for _, network := range podNetworks {
		cidr := netip.MustParsePrefix(network.cidr)
		if cidr != cidr.Masked() {
			t.Errorf("%s is not the address of a network", network.cidr)
		}
		parts := 1 << (NodePodMask - cidr.Bits())
		if spare := parts - network.machines; spare < network.machines/50 {
			t.Errorf("%s has %d parts for %d machines and their replacements", cidr, parts, network.machines)
		}
		for what, text := range map[string]string{
			"Services": ServiceCIDR, "machines on GCP": "10.128.0.0/9", "machines on AWS": "172.31.0.0/16",
			"machines on Azure and OCI": "10.0.0.0/16", "Docker": "172.16.0.0/12", "Docker too": "192.168.0.0/16",
		} {
			if cidr.Overlaps(netip.MustParsePrefix(text)) {
				t.Errorf("%s overlaps %s of %s", cidr, text, what)
			}
		}
	}
}

func TestPodNetworkFollowsFromMaxNodes(t *testing.T) {
	for maxNodes, want := range map[int]string{0: "10.42.0.0/16", 2: "10.42.0.0/16", 250: "10.42.0.0/16",
		251: "10.64.0.0/15", 500: "10.64.0.0/15", 501: "10.64.0.0/14", 2000: "10.64.0.0/13", 4000: "10.64.0.0/12"} {
		s := NewClusterSpec(GroupSpec{NumNodes: 2, MaxNodes: maxNodes})
		if got := s.PodCIDR(); got != want {
			t.Errorf("%d: %s, want %s", maxNodes, got, want)
		}
		if again := s.CreateRequest().MaxNodes; again != maxNodes {
			t.Errorf("a create of the same cluster asks for max_nodes %d, want %d", again, maxNodes)
		}
	}
}

func TestClustersWithoutMaxNodesAreStoredAsBefore(t *testing.T) {
	stored, err := json.Marshal(NewClusterSpec(GroupSpec{NumNodes: 2}))
	if err != nil || strings.Contains(string(stored), "network") {
		t.Errorf("%s, %v", stored, err)
	}
	var old ClusterSpec
	if err := json.Unmarshal(stored, &old); err != nil || old.MaxNodes() != MaxNumNodes {
		t.Errorf("the limit is %d, %v", old.MaxNodes(), err)
	}
}

func TestNumberOfMachinesIsBoundedByMaxNodes(t *testing.T) {
	for _, c := range []struct {
		machines, maxNodes int
		field, want        string
	}{
		{250, 0, "", ""},
		{251, 0, "num_nodes", "to 250; for more, set --max_nodes"},
		{300, 300, "", ""},
		{300, 299, "max_nodes", "at least 300"},
		{4000, 4000, "", ""},
		{3, 2, "max_nodes", "at least 3"},
		{3, 4001, "max_nodes", "from 1 to 4000"},
		{3, -1, "max_nodes", "from 1 to 4000"},
		{4001, 4000, "num_nodes", "--max_nodes, which is at most 4000"},
		{1e6, 0, "num_nodes", "to 250"},
	} {
		s := GroupSpec{NumNodes: c.machines, MaxNodes: c.maxNodes, Provision: true}
		errs := FieldErrorsOf(s.Validate())
		if c.field == "" && len(errs) == 0 {
			continue
		}
		if len(errs) != 1 || errs[0].Field != c.field || !strings.Contains(errs[0].Want, c.want) {
			t.Errorf("%d machines of %d: %v, want %s: %s", c.machines, c.maxNodes, errs, c.field, c.want)
		}
	}
}

func TestChangesKeepWithinMaxNodes(t *testing.T) {
	s := NewClusterSpec(GroupSpec{NumNodes: 2, MaxNodes: 300, Provision: true})
	s.Pools = append(s.Pools, Pool{Name: "none", Machine: MachineSpec{CPUs: "4"}})
	s.SetDefaults()
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	if err := s.ScaleTo(300); err != nil {
		t.Errorf("to the limit: %v", err)
	}
	err := s.ScaleTo(301)
	if err == nil || !strings.Contains(err.Error(), "at most 300") ||
		!strings.Contains(err.Error(), "max_nodes is 300") {
		t.Errorf("beyond the limit: %v", err)
	}
	one := NewClusterSpec(GroupSpec{NumNodes: 1, MaxNodes: 1, Provision: true})
	one.Pools = append(one.Pools, Pool{Name: "none", Machine: MachineSpec{CPUs: "4"}})
	one.SetDefaults()
	if err := one.Validate(); err != nil {
		t.Errorf("a pool without machines: %v", err)
	}
}
