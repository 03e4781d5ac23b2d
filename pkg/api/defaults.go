package api

import (
	"strings"
	"time"
)

// NewCluster returns the cluster that a create requests, in phase INIT. Its spec has its defaults and normal form. The
// UID must be a new UUID.
func NewCluster(name, uid string, request GroupSpec, labels map[string]string, now time.Time) *Cluster {
	request.SetDefaults()
	c := &Cluster{
		Metadata: Metadata{Name: name, UID: uid, Labels: labels, CreatedAt: now.UTC(), Generation: 1},
		Spec:     NewClusterSpec(request),
	}
	c.Status.NextIndex = c.Spec.MachineCount()
	c.Status.SetPhase(PhaseInit, "", now.UTC())
	c.SetDefaults()
	return c
}

// SetDefaults fills in defaults and brings values into their normal form. Malformed values stay as they are, so that
// Validate names them as they were given. NumNodes has no default here, because 0 must be reported (see
// DefaultNumNodes).
func (c *Cluster) SetDefaults() {
	c.APIVersion, c.Kind = APIVersion, Kind
	if c.Status.Phase == "" {
		c.Status.Phase = PhaseInit
	}
	c.Spec.SetDefaults()
}

// SetDefaults does the same for the spec of a cluster.
func (s *ClusterSpec) SetDefaults() {
	normal := s.ControlPlaneGroup()
	normal.SetDefaults()
	if s.ControlPlane.Machine.Accelerators == "" {
		normal.GPUStack = s.GPUStack // chosen for the accelerators of a pool
	}
	s.Manager, s.Cloud, s.Region, s.GPUStack = normal.Manager, normal.Cloud, normal.Region, normal.GPUStack
	s.APICIDR, s.APIAccess, s.Ports, s.SSH = normal.APICIDR, normal.APIAccess, normal.Ports, normal.SSH
	s.KubernetesVersion, s.RKE2.RKE2Release, s.GPU = normal.KubernetesVersion, normal.RKE2, normal.GPU
	s.Network.CNI, s.Ingress = normal.CNI, normal.Ingress
	s.Snapshots, s.OnServerLoss, s.MaxSnapshotAge = normal.Snapshots, normal.OnServerLoss, normal.MaxSnapshotAge
	s.RKE2.normalize()
	s.ControlPlane.Machine = normal.MachineSpec()
	for i := range s.Pools {
		group := s.PoolGroup(s.Pools[i])
		group.SetDefaults()
		s.Pools[i].Machine = group.MachineSpec()
		if s.GPUStack == "" {
			s.GPUStack = group.GPUStack // chosen for the accelerators of the pool
		}
	}
}

// SetDefaults does the same for a group.
func (s *GroupSpec) SetDefaults() {
	for _, f := range Fields {
		if f.normalize != nil {
			f.normalize(s)
		}
	}
}

// normalizeManager returns the normal form of a manager's name.
func normalizeManager(name string) (string, bool) {
	switch strings.ToLower(name) {
	case "", ManagerK8, "k8s", "kubernetes":
		return ManagerK8, true
	}
	return "", false
}

// normalizeCloud returns the normal form of a cloud's name.
func normalizeCloud(name string) (string, bool) {
	lower := strings.ToLower(name)
	return lower, cloudName.MatchString(lower)
}
