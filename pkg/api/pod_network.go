package api

import (
	"cmp"
	"fmt"
	"strconv"
)

const (
	// DefaultPodCIDR and ServiceCIDR are RKE2's address ranges of pods and Services
	// (docs.rke2.io/reference/server_config, cluster-cidr and service-cidr).
	DefaultPodCIDR = "10.42.0.0/16"
	ServiceCIDR    = "10.43.0.0/16"
	// NodePodMask is the mask of the part of the pods' range that each Node gets. Its 254 addresses are enough for the
	// 110 pods that a kubelet runs at most, and for those that replace them.
	NodePodMask = 24
	// LargestMaxNodes is the largest value of max_nodes: Kubernetes supports 5,000 nodes
	// (kubernetes.io/docs/setup/best-practices/cluster-large).
	LargestMaxNodes = 4000
)

// podNetworks are the address ranges of pods by the number of machines that they have room for. Each has some 2 % more
// parts than machines, because a machine that replaces another needs a part before the other's is free again.
//
// The larger ranges begin at 10.64.0.0: a larger one that contains 10.42.0.0 also contains the range of Services. The
// addresses from 10.64.0.0 to 10.79.255.255 are not in the usual networks of machines: 10.128.0.0/9 on GCP,
// 172.31.0.0/16 on AWS, 10.0.0.0/16 on Azure and OCI, Docker's 172.16.0.0/12 and 192.168.0.0/16.
var podNetworks = []struct {
	machines int
	cidr     string
}{
	{MaxNumNodes, DefaultPodCIDR},
	{500, "10.64.0.0/15"},
	{1000, "10.64.0.0/14"},
	{2000, "10.64.0.0/13"},
	{LargestMaxNodes, "10.64.0.0/12"},
}

// Network is what a cluster's network is created with. It cannot change.
type Network struct {
	// MaxNodes is the largest number of machines that the cluster can have; 0 is MaxNumNodes.
	MaxNodes int `json:"max_nodes,omitempty"`
	// CNI is the network plugin: one of rke2config.CNIs; empty is canal.
	CNI string `json:"cni,omitempty"`
}

// PodCIDR is the address range of the cluster's pods. It follows from MaxNodes.
func (s ClusterSpec) PodCIDR() string { return podCIDRFor(s.MaxNodes()) }

func podCIDRFor(machines int) string {
	for _, network := range podNetworks {
		if machines <= network.machines {
			return network.cidr
		}
	}
	return podNetworks[len(podNetworks)-1].cidr // a spec that Validate refuses
}

// MaxNodes is the number of machines that the cluster can have at most.
func (s ClusterSpec) MaxNodes() int { return cmp.Or(s.Network.MaxNodes, MaxNumNodes) }

func maxNodesField() Field {
	f := Field{
		Change: neverChanges("the addresses of the pods follow from it", anotherCluster),
		Name:   "max_nodes", Label: "Pod network", Flag: FlagText, Level: 4, Example: "1000", Invalid: "0",
		Help: fmt.Sprintf("most machines that the cluster can ever have, up to %d (default %d)", LargestMaxNodes,
			MaxNumNodes),
		Want: fmt.Sprintf("a whole number of machines from 1 to %d", LargestMaxNodes),
	}
	f = newNumberField(f, func(s *GroupSpec) *int { return &s.MaxNodes }, numberField[int]{
		parse: func(v string) (int, error) {
			n, err := strconv.Atoi(v)
			if err != nil || n < 1 {
				return 0, f.newError(v)
			}
			return n, nil
		},
		format: strconv.Itoa, isIn: func(n int) bool { return n >= 0 && n <= LargestMaxNodes },
	})
	f.show = func(s GroupSpec) string {
		n := cmp.Or(s.MaxNodes, MaxNumNodes)
		return fmt.Sprintf("%s, for at most %d machines", podCIDRFor(n), n)
	}
	return f
}

const wantNumNodes = "a whole number of machines from 1 (the head alone) to "

// checkNumNodes compares the number of machines with the room in the pod network.
func checkNumNodes(s GroupSpec) *FieldError {
	switch {
	case s.MaxNodes < 0 || s.MaxNodes > LargestMaxNodes || s.NumNodes > LargestMaxNodes:
		return nil // the fields' own checks name it
	case s.MaxNodes > 0 && s.NumNodes > s.MaxNodes:
		return &FieldError{Field: "max_nodes", Value: strconv.Itoa(s.MaxNodes),
			Want: fmt.Sprintf("at least %d, the number of machines, and at most %d", s.NumNodes, LargestMaxNodes)}
	case s.MaxNodes == 0 && s.NumNodes > MaxNumNodes:
		return &FieldError{Field: "num_nodes", Value: strconv.Itoa(s.NumNodes),
			Want: wantNumNodes + fmt.Sprintf("%d; for more, set --max_nodes to the most machines that the cluster "+
				"will ever have", MaxNumNodes)}
	}
	return nil
}
