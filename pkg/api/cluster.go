// Package api holds the objects that skyctl works on: their fields, defaults,
// validation, phases and conditions. It is pure and imports nothing of the project.
package api

import "time"

// APIVersion and Kind begin every Cluster that is stored or printed.
const (
	APIVersion = "skyctl.sky-shift.org/v1"
	Kind       = "Cluster"
)

// Cluster is the requested state (Spec) and the observed state (Status) of a cluster.
type Cluster struct {
	APIVersion string        `json:"apiVersion"`
	Kind       string        `json:"kind"`
	Metadata   Metadata      `json:"metadata"`
	Spec       ClusterSpec   `json:"spec"`
	Status     ClusterStatus `json:"status"`
}

// Metadata names a cluster. UID distinguishes clusters that have the same name at different times.
type Metadata struct {
	Name      string            `json:"name"`
	UID       string            `json:"uid"`
	Labels    map[string]string `json:"labels,omitempty"`
	CreatedAt time.Time         `json:"created_at,omitzero"`
	// LastApplied is what a file said that was applied last: labels and spec as it gave them, in JSON. It is empty if
	// no file was applied.
	LastApplied string `json:"last_applied,omitempty"`
	// CreatedByApply: a file created the cluster, so that a prune may delete it.
	CreatedByApply bool `json:"created_by_apply,omitempty"`
	// Generation counts the changes of the spec and the labels, from 1.
	Generation int64 `json:"generation,omitempty"`
	// Revision is etcd's mod revision of the object that was read. It is not stored.
	Revision int64 `json:"revision,omitempty"`
}

// ClusterStatus is the observed state of a cluster.
type ClusterStatus struct {
	// ObservedGeneration is the generation of the spec that the machines have reached.
	ObservedGeneration int64        `json:"observed_generation,omitempty"`
	Phase              Phase        `json:"phase"`
	Transitions        []Transition `json:"transitions,omitempty"`
	// KeepOnFailure: if the create fails, it keeps the machines.
	KeepOnFailure bool        `json:"keep_on_failure,omitempty"`
	Conditions    []Condition `json:"conditions,omitempty"`
	// Placement is where the machines are, or are launched.
	Placement *Placement `json:"placement,omitempty"`
	// Attempts are the placements that failed, oldest first.
	Attempts  []FailedPlacement `json:"attempts,omitempty"`
	Failure   *Failure          `json:"failure,omitempty"`
	Resources Resources         `json:"resources,omitzero"`
	Versions  Versions          `json:"versions,omitzero"`
	// GPUs are the accelerators of each node that should have some, sorted by name.
	GPUs []NodeGPUs `json:"gpus,omitempty"`
	// Endpoint is the address of the Kubernetes API in the kubeconfig.
	Endpoint string `json:"endpoint,omitempty"`
	// TunnelPort is the loopback port that leads to a Kubernetes API which is reached through SSH.
	TunnelPort int `json:"tunnel_port,omitempty"`
	// Artifacts pins the RKE2 release that every machine of the cluster installs, now or later.
	Artifacts *Artifacts `json:"artifacts,omitempty"`
	// Drift is what differed in the last sweep.
	Drift []Drift `json:"drift,omitempty"`
	// Repairs are the actions on drift, newest last.
	Repairs []Repair `json:"repairs,omitempty"`
	// Operation is what is under way; nil if nothing is.
	Operation *OperationStatus `json:"operation,omitempty"`
	// Pools are what is known of pools beside their machines.
	Pools []PoolStatus `json:"pools,omitempty"`
	// NextIndex is the index of the next machine. An index is never used for another machine.
	NextIndex int `json:"next_index,omitempty"`
	// RemovedCost is what machines without a record have cost in US dollars. RemovedCostEstimated: a time behind that
	// is not the cloud's.
	RemovedCost          float64 `json:"removed_cost,omitempty"`
	RemovedCostEstimated bool    `json:"removed_cost_estimated,omitempty"`
	// Restore is a restore that is wanted or under way; nil if none is. Restored is the last one that has ended.
	Restore  *RestoreRequest `json:"restore,omitempty"`
	Restored *RestoreResult  `json:"restored,omitempty"`
	// AuthorityUID is the UID of the cluster whose certificates and tokens this one has since a restore. Restores from
	// its own snapshots keep it. It is empty if no restore has recorded it; see Authority.
	AuthorityUID string `json:"authority_uid,omitempty"`
	// RestoredRevision is the highest revision of etcd with which a restore has begun; 0 if there was none.
	RestoredRevision int64 `json:"restored_revision,omitempty"`
	// Stop is a stop that is wanted, or done if the phase is STOPPED; nil otherwise.
	Stop *StopRequest `json:"stop,omitempty"`
	// Snapshots is what is known of keeping the cluster's snapshots; nil before the first time.
	Snapshots *SnapshotStatus `json:"snapshots,omitempty"`
	// PausedAt is when a person paused repairs; zero if they are not paused.
	PausedAt time.Time `json:"paused_at,omitzero"`
	// Machines have their own keys in etcd, so that many can be written at once. Reading a cluster joins them.
	Machines []Machine `json:"machines,omitempty"`
}

// OperationStatus is an operation that is under way on a cluster.
type OperationStatus struct {
	// Type is the workflow type.
	Type string `json:"type"`
	// Doing says, for people, what it does, such as "adding 2, removing 1".
	Doing string    `json:"doing,omitempty"`
	Since time.Time `json:"since,omitzero"`
}

// PoolStatus is the observed state of a pool.
type PoolStatus struct {
	Name string `json:"name"`
	// CreatedAt is zero for pools that were created with their cluster.
	CreatedAt time.Time `json:"created_at,omitzero"`
	// Attempts are the placements that could not give the pool a machine lately, oldest first.
	Attempts []FailedPlacement `json:"attempts,omitempty"`
}

// Placement is a cloud, region, zone and instance type for machines that are requested alike. Prices are US dollars per
// hour; 0 is free.
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
	// OnDemand: the machine is requested at the full price, although its group asks for spot machines.
	OnDemand bool `json:"on_demand,omitempty"`
	// Tunnel: the Kubernetes API is reached through SSH, and its port is not open to the outside.
	Tunnel bool `json:"tunnel,omitempty"`
	// Exposed: strangers reach every port of the machines, so traffic of pods between them has to be encrypted.
	Exposed bool `json:"exposed,omitempty"`
}

// FailedPlacement is a placement that failed, with the cloud's reason.
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
	// Log is the end of the machine's log.
	Log []string  `json:"log,omitempty"`
	At  time.Time `json:"at"`
}

// Resources are the resources of a whole cluster as Kubernetes reports them.
type Resources struct {
	CPUs   Amount `json:"cpus,omitzero"`
	Memory Amount `json:"memory_gib,omitzero"`
	Disk   Amount `json:"disk_gib,omitzero"`
	// Accelerators by name.
	Accelerators map[string]Amount `json:"accelerators,omitempty"`
}

// Amount is the available and the total amount of a resource.
type Amount struct {
	Available float64 `json:"available"`
	Total     float64 `json:"total"`
}

// Versions are the versions of the software on a cluster.
type Versions struct {
	RKE2       string `json:"rke2,omitempty"`
	Kubernetes string `json:"kubernetes,omitempty"`
	// GPUOperator, GPUDriver and GPUPlugin are NVIDIA's, on clusters with accelerators.
	GPUOperator string `json:"gpu_operator,omitempty"`
	GPUDriver   string `json:"gpu_driver,omitempty"`
	GPUPlugin   string `json:"gpu_plugin,omitempty"`
}

// Artifacts pins an RKE2 release: its version, the source of its files, and their checksums.
type Artifacts struct {
	Version string `json:"version"`
	// Source is a directory of the worker's computer, or the URL that has <version>/<file>.
	Source string `json:"source"`
	// SHA256 of the release tarball in hexadecimal, by architecture (amd64, arm64).
	SHA256 map[string]string `json:"sha256"`
	// Ingress is the ingress controller that the release deploys by itself. It is pinned so that a later release does
	// not change it. Empty is that of no release: one before 1.31, or pinned by an older version of skyctl.
	Ingress string `json:"ingress,omitempty"`
	// Images are archives of images that every machine gets before RKE2 starts.
	Images []PinnedImages `json:"images,omitempty"`
}

// PinnedImages is an archive of images with the checksum that it had when the cluster was created.
type PinnedImages struct {
	// From is a file of the worker's computer, or a URL.
	From   string `json:"from"`
	SHA256 string `json:"sha256"`
	// Arch is the only architecture whose machines get the archive; empty is any.
	Arch string `json:"arch,omitempty"`
}
