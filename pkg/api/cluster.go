// Package api holds the objects that skyctl works on: their fields, defaults,
// validation, phases and conditions. It is pure and imports nothing of the project.
package api

import "time"

// APIVersion and Kind head every Cluster that is stored or printed.
const (
	APIVersion = "skyctl.sky-shift.org/v1"
	Kind       = "Cluster"
)

// Cluster is what a person asks for (Spec) and what is known of it (Status).
type Cluster struct {
	APIVersion string        `json:"api_version"`
	Kind       string        `json:"kind"`
	Metadata   Metadata      `json:"metadata"`
	Spec       ClusterSpec   `json:"spec"`
	Status     ClusterStatus `json:"status"`
}

// Metadata names a cluster. UID tells apart two clusters that bear one name at different times.
type Metadata struct {
	Name      string            `json:"name"`
	UID       string            `json:"uid"`
	Labels    map[string]string `json:"labels,omitempty"`
	CreatedAt time.Time         `json:"created_at,omitzero"`
	// Revision is etcd's mod revision of the object as it was read; it is never stored.
	Revision int64 `json:"revision,omitempty"`
}

// ClusterSpec is what was asked for; it does not change while the cluster lives.
// The fields carry SkyShift's names.
type ClusterSpec struct {
	Manager string `json:"manager"`
	// Cloud is "docker" or a cloud that SkyPilot knows; empty leaves the choice to the optimizer.
	Cloud  string `json:"cloud,omitempty"`
	Region string `json:"region,omitempty"`
	// Zone pins the machines to a zone of the region, where the cloud has zones.
	Zone string `json:"zone,omitempty"`
	// CPUs per machine: "4" is exactly 4, "4+" at least 4; empty leaves it to the cloud.
	CPUs string `json:"cpus,omitempty"`
	// Memory per machine in GiB, in the form of CPUs.
	Memory string `json:"memory,omitempty"`
	// DiskSize per machine in GiB; 0 leaves it to the cloud.
	DiskSize int `json:"disk_size,omitempty"`
	// Accelerators per machine as NAME:COUNT, such as "A100:8".
	Accelerators string `json:"accelerators,omitempty"`
	// GPUStack is how accelerators are made known to Kubernetes: one of the GPUStack constants, empty without
	// accelerators.
	GPUStack string `json:"gpu_stack,omitempty"`
	// GPUTaint keeps pods that ask for no accelerator off the workers.
	GPUTaint bool `json:"gpu_taint,omitempty"`
	// UseSpot asks for machines that the cloud may take back, at a lower price.
	UseSpot bool `json:"use_spot,omitempty"`
	// MaxHourlyCost of one machine, in US dollars; 0 sets no limit.
	MaxHourlyCost float64 `json:"max_hourly_cost,omitempty"`
	// ImageID is the cloud's id of the machines' image; empty leaves it to the cloud.
	ImageID string `json:"image_id,omitempty"`
	// APICIDR are the addresses from which the Kubernetes API may be reached; empty is anywhere.
	APICIDR string `json:"api_cidr,omitempty"`
	// APIAccess is how the Kubernetes API is reached: APIPublic, APITunnel, or empty for the first where the cloud can
	// open its port as asked, and the second elsewhere.
	APIAccess string `json:"api_access,omitempty"`
	// Ports are opened to the outside on every machine: "8080" or "30000-30100".
	Ports []string `json:"ports,omitempty"`
	// NumNodes counts the head.
	NumNodes  int  `json:"num_nodes"`
	Provision bool `json:"provision"`
	// KubernetesVersion is the release of RKE2, such as v1.35.7+rke2r1. It and what follows is what the create was
	// given; what is empty is for the worker's settings to say, as for clusters of before.
	KubernetesVersion string      `json:"kubernetes_version,omitempty"`
	RKE2              RKE2Release `json:"rke2,omitzero"`
	GPU               GPURelease  `json:"gpu,omitzero"`
}

// Phase is where a cluster stands.
type Phase string

// The phases of a cluster.
const (
	PhaseInit         Phase = "INIT"
	PhaseProvisioning Phase = "PROVISIONING"
	PhaseReady        Phase = "READY"
	PhaseError        Phase = "ERROR"
	PhaseDeleting     Phase = "DELETING"
)

// ClusterStatus is what is known of a cluster.
type ClusterStatus struct {
	Phase       Phase        `json:"phase"`
	Transitions []Transition `json:"transitions,omitempty"`
	// KeepOnFailure is the wish of the last create: leave machines in place when it fails.
	KeepOnFailure bool        `json:"keep_on_failure,omitempty"`
	Conditions    []Condition `json:"conditions,omitempty"`
	// Placement is where the machines are, or are being launched.
	Placement *Placement `json:"placement,omitempty"`
	// Attempts are the placements that could not give the machines, oldest first.
	Attempts  []FailedPlacement `json:"attempts,omitempty"`
	Failure   *Failure          `json:"failure,omitempty"`
	Resources Resources         `json:"resources,omitzero"`
	Versions  Versions          `json:"versions,omitzero"`
	// GPUs are the accelerators of each node that should have some, by the node's name.
	GPUs []NodeGPUs `json:"gpus,omitempty"`
	// Endpoint is the address of the Kubernetes API as the kubeconfig has it.
	Endpoint string `json:"endpoint,omitempty"`
	// TunnelPort is the loopback port of a person's machine that leads to the Kubernetes API, where that is reached
	// through SSH.
	TunnelPort int `json:"tunnel_port,omitempty"`
	// Artifacts pins what every machine of the cluster, now or later, installs.
	Artifacts *Artifacts `json:"artifacts,omitempty"`
	// Drift is what the last sweep saw that is not as it should be.
	Drift []Drift `json:"drift,omitempty"`
	// Repairs are what was done about drift, newest last.
	Repairs []Repair `json:"repairs,omitempty"`
	// PausedAt is when a person asked that nothing be repaired for now; zero where nobody has.
	PausedAt time.Time `json:"paused_at,omitzero"`
	// Machines are kept under keys of their own, so that many can be written at once; reading a cluster joins them.
	Machines []Machine `json:"machines,omitempty"`
}

// Transition records when a phase began.
type Transition struct {
	Phase  Phase     `json:"phase"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
}

// Placement is a place that can hold all machines of a cluster. Prices are US dollars per hour; 0 is free.
type Placement struct {
	Cloud           string  `json:"cloud"`
	Region          string  `json:"region"`
	Zone            string  `json:"zone,omitempty"`
	InstanceType    string  `json:"instance_type,omitempty"`
	CPUs            float64 `json:"cpus"`
	MemoryGiB       float64 `json:"memory_gib"`
	DiskGiB         float64 `json:"disk_gib,omitempty"`
	PricePerMachine float64 `json:"price_per_machine_hour"`
	PriceTotal      float64 `json:"price_total_hour"`
	// Tunnel: the Kubernetes API is not opened to the outside here, but reached through SSH.
	Tunnel bool `json:"tunnel,omitempty"`
}

// FailedPlacement is a placement that failed, with the cloud's own reason.
type FailedPlacement struct {
	Placement Placement `json:"placement"`
	Machine   string    `json:"machine,omitempty"`
	Reason    string    `json:"reason"`
	Message   string    `json:"message"`
	At        time.Time `json:"at"`
}

// Failure says why a cluster is in phase ERROR.
type Failure struct {
	Step    string `json:"step"`
	Machine string `json:"machine,omitempty"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// Log holds the last lines that the machine had to say about it.
	Log []string  `json:"log,omitempty"`
	At  time.Time `json:"at"`
}

// Resources are those of a whole cluster as Kubernetes sees them.
type Resources struct {
	CPUs   Amount `json:"cpus,omitzero"`
	Memory Amount `json:"memory_gib,omitzero"`
	Disk   Amount `json:"disk_gib,omitzero"`
	// Accelerators by name.
	Accelerators map[string]Amount `json:"accelerators,omitempty"`
}

// Amount is what is still free of a resource, and what there is.
type Amount struct {
	Available float64 `json:"available"`
	Total     float64 `json:"total"`
}

// Versions of what runs on a cluster.
type Versions struct {
	RKE2       string `json:"rke2,omitempty"`
	Kubernetes string `json:"kubernetes,omitempty"`
	// GPUOperator, GPUDriver and GPUPlugin are NVIDIA's, where there are accelerators.
	GPUOperator string `json:"gpu_operator,omitempty"`
	GPUDriver   string `json:"gpu_driver,omitempty"`
	GPUPlugin   string `json:"gpu_plugin,omitempty"`
}

// Artifacts pins an RKE2 release: its version, where its files come from and what they must hash to.
type Artifacts struct {
	Version string `json:"version"`
	// Source is a directory of the worker's machine, or the URL under which <version>/<file> are found.
	Source string `json:"source"`
	// SHA256 in hexadecimal of the release tarball, by architecture (amd64, arm64).
	SHA256 map[string]string `json:"sha256"`
}
