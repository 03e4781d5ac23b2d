package api

import "slices"

// ClusterSpec is the requested state of a cluster. A person can change it; Metadata.Generation counts the changes.
type ClusterSpec struct {
	Manager string `json:"manager"`
	// Cloud is "docker" or a cloud that SkyPilot knows; empty is the cheapest cloud that is enabled.
	Cloud  string `json:"cloud,omitempty"`
	Region string `json:"region,omitempty"`
	// GPUStack is the software that makes accelerators available to pods: one of the GPUStack constants, or empty
	// without accelerators.
	GPUStack string `json:"gpu_stack,omitempty"`
	// GPUTaint keeps pods that request no accelerator off the workers that have some.
	GPUTaint bool `json:"gpu_taint,omitempty"`
	// APICIDR is the address range that can reach the Kubernetes API; empty is any.
	APICIDR string `json:"api_cidr,omitempty"`
	// APIAccess is how the Kubernetes API is reached: APIPublic or APITunnel. Empty is APIPublic if the cloud can open
	// the port as requested, and APITunnel otherwise.
	APIAccess string `json:"api_access,omitempty"`
	// Ports are opened to the outside on every machine: "8080" or "30000-30100".
	Ports []string `json:"ports,omitempty"`
	// SSH says how skyd and skyctl reach the machines.
	SSH       SSHAccess `json:"ssh,omitzero"`
	Provision bool      `json:"provision"`
	// KubernetesVersion is the release of RKE2, such as v1.35.7+rke2r1. A create fills it, RKE2 and GPU from its
	// settings. If they are empty, as in clusters of older versions, the worker's settings apply.
	KubernetesVersion string       `json:"kubernetes_version,omitempty"`
	RKE2              RKE2Settings `json:"rke2,omitzero"`
	GPU               GPURelease   `json:"gpu,omitzero"`
	Network           Network      `json:"network,omitzero"`
	// Ingress is the ingress controller: one of rke2config.IngressControllers. Empty is that of the release, as
	// Status.Artifacts has it, or none of skyctl's business in clusters of older versions.
	Ingress string `json:"ingress,omitempty"`
	// EnableServiceLB has RKE2 give Services of type LoadBalancer the addresses of the nodes. nil is false, and leaves
	// the choice to the installation's settings while a cluster is being created.
	EnableServiceLB *bool `json:"enable_servicelb,omitempty"`
	// Snapshots says which snapshots of etcd are taken, and where they are kept.
	Snapshots SnapshotPolicy `json:"snapshots,omitzero"`
	// OnServerLoss says what happens if the machine of the only server is gone: one of the OnServerLoss constants, or
	// empty for OnServerLossRestore.
	OnServerLoss string `json:"on_server_loss,omitempty"`
	// MaxSnapshotAge is how old a snapshot can be from which a lost server is restored, such as 24h; empty is
	// DefaultMaxSnapshotAge.
	MaxSnapshotAge string `json:"max_snapshot_age,omitempty"`

	ControlPlane ControlPlane `json:"control_plane"`
	// Pools are the groups of workers, in the order of their creation. Names are unique.
	Pools []Pool `json:"pools"`
}

// ControlPlane are the machines that run the RKE2 server.
type ControlPlane struct {
	// Replicas is 1: the head.
	Replicas int         `json:"replicas"`
	Machine  MachineSpec `json:"machine,omitzero"`
}

// DefaultPool is the pool of the workers that a create requests.
const DefaultPool = "default"

// Pool is a named group of workers with the same machine spec, labels and taints.
type Pool struct {
	Name string `json:"name"`
	// Replicas is the number of machines. MinReplicas and MaxReplicas bound it; a MaxReplicas of 0 is no bound.
	Replicas    int         `json:"replicas"`
	MinReplicas int         `json:"min_replicas,omitempty"`
	MaxReplicas int         `json:"max_replicas,omitempty"`
	Machine     MachineSpec `json:"machine,omitzero"`
	// Labels and Taints are those of the pool's Nodes. A taint has the form KEY=VALUE:EFFECT or KEY:EFFECT.
	Labels map[string]string `json:"labels,omitempty"`
	Taints []string          `json:"taints,omitempty"`
	// SpotFallback says what happens if the cloud has no spot machine: one of the SpotFallback constants.
	SpotFallback string `json:"spot_fallback,omitempty"`
	// MaxUnavailable bounds the machines that are replaced at the same time; 0 is DefaultMaxUnavailable.
	MaxUnavailable int `json:"max_unavailable,omitempty"`
	// DrainTimeout bounds how long pods may take to leave a machine; 0 is DefaultDrainTimeout.
	DrainTimeout Duration `json:"drain_timeout,omitempty"`
	// DrainForce removes a machine even if pods are left on it after DrainTimeout.
	DrainForce bool `json:"drain_force,omitempty"`
}

// PoolMachines is what decides where machines of a pool can be launched.
type PoolMachines struct {
	Machine      MachineSpec `json:"machine,omitzero"`
	SpotFallback string      `json:"spot_fallback,omitempty"`
}

// Machines returns what decides where machines of the pool can be launched.
func (p Pool) Machines() PoolMachines {
	return PoolMachines{Machine: p.Machine, SpotFallback: p.SpotFallback}
}

// What a pool of spot machines does if the cloud has none.
const (
	SpotFallbackWait     = ""          // it tries again, with growing pauses
	SpotFallbackOnDemand = "on_demand" // it takes machines at the full price
)

// MachineSpec is what each machine of a group is requested with. See GroupSpec for the fields.
type MachineSpec struct {
	Zone          string  `json:"zone,omitempty"`
	CPUs          string  `json:"cpus,omitempty"`
	Memory        string  `json:"memory,omitempty"`
	DiskSize      int     `json:"disk_size,omitempty"`
	Accelerators  string  `json:"accelerators,omitempty"`
	UseSpot       bool    `json:"use_spot,omitempty"`
	MaxHourlyCost float64 `json:"max_hourly_cost,omitempty"`
	ImageID       string  `json:"image_id,omitempty"`
	SSHUser       string  `json:"ssh_user,omitempty"`
}

// FindPool returns the pool with a name; nil if there is none.
func (s *ClusterSpec) FindPool(name string) *Pool {
	i := slices.IndexFunc(s.Pools, func(p Pool) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &s.Pools[i]
}

// MachineCount is the number of machines of the whole cluster.
func (s ClusterSpec) MachineCount() int {
	count := s.ControlPlane.Replicas
	for _, p := range s.Pools {
		count += p.Replicas
	}
	return count
}

// HasAccelerators reports whether a machine of the cluster is requested with accelerators.
func (s ClusterSpec) HasAccelerators() bool {
	return s.ControlPlane.Machine.Accelerators != "" ||
		slices.ContainsFunc(s.Pools, func(p Pool) bool { return p.Machine.Accelerators != "" })
}

// ManagesGPUs reports whether skyctl installs the GPU stack of a cluster, which is then READY only if GPUReady is True.
func (s ClusterSpec) ManagesGPUs() bool {
	return s.HasAccelerators() && (s.GPUStack == GPUStackOperator || s.GPUStack == GPUStackDevicePlugin)
}

// Clone returns a copy that shares nothing with s.
func (s ClusterSpec) Clone() ClusterSpec {
	s.Ports = slices.Clone(s.Ports)
	s.RKE2 = s.RKE2.clone()
	if s.EnableServiceLB != nil {
		on := *s.EnableServiceLB
		s.EnableServiceLB = &on
	}
	s.Pools = slices.Clone(s.Pools)
	for i := range s.Pools {
		s.Pools[i] = s.Pools[i].clone()
	}
	return s
}
