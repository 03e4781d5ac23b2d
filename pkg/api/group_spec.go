package api

// GroupSpec is what machines of one kind are requested with: the fields of their cluster, and their own. A create has
// this form, because all machines that it requests are alike. Clouds get it. Its fields have SkyShift's names, and
// Fields declares each of them.
type GroupSpec struct {
	Manager string `json:"manager"`
	// Cloud is "docker" or a cloud that SkyPilot knows; empty is the cheapest cloud that is enabled.
	Cloud  string `json:"cloud,omitempty"`
	Region string `json:"region,omitempty"`
	// Zone is a zone of the region, on clouds with zones.
	Zone string `json:"zone,omitempty"`
	// CPUs per machine: "4" is exactly 4, "4+" at least 4; empty leaves it to the cloud.
	CPUs string `json:"cpus,omitempty"`
	// Memory per machine in GiB, in the form of CPUs.
	Memory string `json:"memory,omitempty"`
	// DiskSize per machine in GiB; 0 leaves it to the cloud.
	DiskSize int `json:"disk_size,omitempty"`
	// Accelerators per machine as NAME:COUNT, such as "A100:8".
	Accelerators string `json:"accelerators,omitempty"`
	// GPUStack is the software that makes accelerators available to pods: one of the GPUStack constants, or empty
	// without accelerators.
	GPUStack string `json:"gpu_stack,omitempty"`
	// GPUTaint keeps pods that request no accelerator off the workers.
	GPUTaint bool `json:"gpu_taint,omitempty"`
	// UseSpot requests cheaper machines that the cloud can take back at any time.
	UseSpot bool `json:"use_spot,omitempty"`
	// MaxHourlyCost of one machine, in US dollars; 0 sets no limit.
	MaxHourlyCost float64 `json:"max_hourly_cost,omitempty"`
	// ImageID is the cloud's id of the machines' image; empty leaves it to the cloud.
	ImageID string `json:"image_id,omitempty"`
	// SSHUser is the login user of the image; empty is SkyPilot's default.
	SSHUser string `json:"ssh_user,omitempty"`
	// APICIDR is the address range that can reach the Kubernetes API; empty is any.
	APICIDR string `json:"api_cidr,omitempty"`
	// APIAccess is how the Kubernetes API is reached: APIPublic or APITunnel. Empty is APIPublic if the cloud can open
	// the port as requested, and APITunnel otherwise.
	APIAccess string `json:"api_access,omitempty"`
	// Ports are opened to the outside on every machine: "8080" or "30000-30100".
	Ports []string `json:"ports,omitempty"`
	// NumNodes is the number of machines. That of a create counts the head.
	NumNodes int `json:"num_nodes"`
	// MaxNodes is the largest number of machines that the cluster can have; 0 is MaxNumNodes. Its pod network follows
	// from it.
	MaxNodes  int  `json:"max_nodes,omitempty"`
	Provision bool `json:"provision"`
	// SSH is that of ClusterSpec.
	SSH SSHAccess `json:"ssh,omitzero"`
	// CNI, Ingress and EnableServiceLB are those of Network and ClusterSpec.
	CNI             string `json:"cni,omitempty"`
	Ingress         string `json:"ingress,omitempty"`
	EnableServiceLB *bool  `json:"enable_servicelb,omitempty"`
	// Snapshots, OnServerLoss and MaxSnapshotAge are those of ClusterSpec.
	Snapshots      SnapshotPolicy `json:"snapshots,omitzero"`
	OnServerLoss   string         `json:"on_server_loss,omitempty"`
	MaxSnapshotAge string         `json:"max_snapshot_age,omitempty"`
	// KubernetesVersion is the release of RKE2, such as v1.35.7+rke2r1. A create fills it, RKE2 and GPU from its
	// settings. If they are empty, as in clusters of older versions, the worker's settings apply.
	KubernetesVersion string      `json:"kubernetes_version,omitempty"`
	RKE2              RKE2Release `json:"rke2,omitzero"`
	GPU               GPURelease  `json:"gpu,omitzero"`
}
