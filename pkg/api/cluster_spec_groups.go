package api

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
)

// NewClusterSpec returns the spec of the cluster that a create requests: one server, and the rest in DefaultPool, all
// with the same machine spec.
func NewClusterSpec(request GroupSpec) ClusterSpec {
	machine := request.MachineSpec()
	return ClusterSpec{
		Manager: request.Manager, Cloud: request.Cloud, Region: request.Region,
		GPUStack: request.GPUStack, GPUTaint: request.GPUTaint,
		APICIDR: request.APICIDR, APIAccess: request.APIAccess, Ports: request.Ports, SSH: request.SSH,
		Provision:         request.Provision,
		KubernetesVersion: request.KubernetesVersion, RKE2: RKE2Settings{RKE2Release: request.RKE2}, GPU: request.GPU,
		Network: Network{MaxNodes: request.MaxNodes, CNI: request.CNI}, Ingress: request.Ingress,
		EnableServiceLB: request.EnableServiceLB,
		Snapshots:       request.Snapshots, OnServerLoss: request.OnServerLoss, MaxSnapshotAge: request.MaxSnapshotAge,
		ControlPlane: ControlPlane{Replicas: 1, Machine: machine},
		Pools:        []Pool{{Name: DefaultPool, Replicas: request.NumNodes - 1, Machine: machine}},
	}
}

// MachineSpec returns what the group requests of each machine.
func (s GroupSpec) MachineSpec() MachineSpec {
	return MachineSpec{Zone: s.Zone, CPUs: s.CPUs, Memory: s.Memory, DiskSize: s.DiskSize, Accelerators: s.Accelerators,
		UseSpot: s.UseSpot, MaxHourlyCost: s.MaxHourlyCost, ImageID: s.ImageID, SSHUser: s.SSHUser}
}

// newGroup returns machines of the cluster as a cloud is asked for them.
func (s ClusterSpec) newGroup(m MachineSpec, count int) GroupSpec {
	return GroupSpec{
		Manager: s.Manager, Cloud: s.Cloud, Region: s.Region, GPUStack: s.GPUStack, GPUTaint: s.GPUTaint,
		APICIDR: s.APICIDR, APIAccess: s.APIAccess, Ports: s.Ports, SSH: s.SSH, Provision: s.Provision,
		KubernetesVersion: s.KubernetesVersion, RKE2: s.RKE2.RKE2Release, GPU: s.GPU,
		Zone: m.Zone, CPUs: m.CPUs, Memory: m.Memory, DiskSize: m.DiskSize, Accelerators: m.Accelerators,
		UseSpot: m.UseSpot, MaxHourlyCost: m.MaxHourlyCost, ImageID: m.ImageID, SSHUser: m.SSHUser,
		NumNodes: count, MaxNodes: s.Network.MaxNodes, CNI: s.Network.CNI, Ingress: s.Ingress,
		EnableServiceLB: s.EnableServiceLB,
		Snapshots:       s.Snapshots, OnServerLoss: s.OnServerLoss, MaxSnapshotAge: s.MaxSnapshotAge,
	}
}

// ControlPlaneGroup returns the servers as a group.
func (s ClusterSpec) ControlPlaneGroup() GroupSpec {
	return s.newGroup(s.ControlPlane.Machine, s.ControlPlane.Replicas)
}

// PoolGroup returns the machines of a pool as a group.
func (s ClusterSpec) PoolGroup(p Pool) GroupSpec { return s.newGroup(p.Machine, p.Replicas) }

// CreateRequest returns the create that requests the cluster: its servers and DefaultPool, with the machine spec of
// the servers. It leaves out what a create cannot request.
func (s ClusterSpec) CreateRequest() GroupSpec {
	count := s.ControlPlane.Replicas
	if p := s.FindPool(DefaultPool); p != nil {
		count += p.Replicas
	}
	if s.ControlPlane.Machine.Accelerators == "" {
		s.GPUStack, s.GPUTaint = "", false // they are for pools
	}
	return s.newGroup(s.ControlPlane.Machine, count)
}

// MachineSpecOf returns the spec of a recorded machine: the one on record, or else that of its pool or of the control
// plane. A machine of a pool that was deleted may have an empty one.
func (s ClusterSpec) MachineSpecOf(m Machine) MachineSpec {
	if m.Spec != nil {
		return *m.Spec
	}
	if m.Role == RoleHead {
		return s.ControlPlane.Machine
	}
	if p := s.FindPool(m.PoolName()); p != nil {
		return p.Machine
	}
	return MachineSpec{}
}

// GroupOf returns the group of a recorded machine.
func (s ClusterSpec) GroupOf(m Machine) GroupSpec { return s.newGroup(s.MachineSpecOf(m), 1) }

// AcceleratorsOf returns the accelerators of a recorded machine; none if it has none.
func (s ClusterSpec) AcceleratorsOf(m Machine) Accelerators {
	spec := s.MachineSpecOf(m)
	if spec.Accelerators == "" {
		return Accelerators{}
	}
	a, _ := ParseAccelerators(spec.Accelerators) // validated when it was requested
	return a
}

func (p Pool) clone() Pool {
	p.Labels, p.Taints = maps.Clone(p.Labels), slices.Clone(p.Taints)
	return p
}

// UnmarshalJSON also reads the flat form, in which older versions stored a cluster's spec. If a value has a wrong type,
// it keeps the others, as encoding/json does for other structs: a damaged cluster can still be deleted.
func (s *ClusterSpec) UnmarshalJSON(data []byte) error {
	type nested ClusterSpec // without this method
	var stored struct {
		nested
		NumNodes *int `json:"num_nodes"`
	}
	err := json.Unmarshal(data, &stored)
	if stored.NumNodes == nil {
		*s = ClusterSpec(stored.nested)
		return err
	}
	var flat GroupSpec
	err = json.Unmarshal(data, &flat)
	flat.SetDefaults() // older versions did not store the GPU stack
	*s = NewClusterSpec(flat)
	return err
}

// PoolName is the machine's pool; empty for a server. Records of older versions name none.
func (m Machine) PoolName() string {
	if m.Role == RoleHead {
		return ""
	}
	return cmp.Or(m.Pool, DefaultPool)
}
