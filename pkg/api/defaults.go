package api

import (
	"strings"
	"time"
)

// NewCluster is a cluster in phase INIT, its spec with defaults and in normal form. The UID must be a fresh UUID.
func NewCluster(name, uid string, spec ClusterSpec, labels map[string]string, now time.Time) *Cluster {
	c := &Cluster{
		Metadata: Metadata{Name: name, UID: uid, Labels: labels, CreatedAt: now.UTC()},
		Spec:     spec,
	}
	c.Status.SetPhase(PhaseInit, "", now.UTC())
	c.SetDefaults()
	return c
}

// SetDefaults fills in what was left out and brings the rest into its normal form. What is malformed stays as it is,
// for Validate to name it as it was given. NumNodes has no default here: 0 is a mistake that must be seen (see
// DefaultNumNodes).
func (c *Cluster) SetDefaults() {
	c.APIVersion, c.Kind = APIVersion, Kind
	if c.Status.Phase == "" {
		c.Status.Phase = PhaseInit
	}
	c.Spec.SetDefaults()
}

// SetDefaults does for a spec what Cluster.Default does.
func (s *ClusterSpec) SetDefaults() {
	if m, ok := normalizeManager(s.Manager); ok {
		s.Manager = m
	}
	if lower := strings.ToLower(s.Cloud); cloudName.MatchString(lower) {
		s.Cloud = lower
	}
	if access, ok := normalizeAPIAccess(s.APIAccess); ok {
		s.APIAccess = access
	}
	if q, err := ParseCPUs(s.CPUs); err == nil {
		s.CPUs = q.String()
	}
	if q, err := ParseMemory(s.Memory); err == nil {
		s.Memory = q.String()
	}
	if a, err := ParseAccelerators(s.Accelerators); err == nil {
		a.Name = canonicalAcceleratorName(a.Name)
		s.Accelerators = a.String()
	}
	s.setDefaultGPUStack()
	if ranges, err := ParsePorts(s.Ports); err == nil {
		s.Ports = nil
		for _, r := range ranges {
			s.Ports = append(s.Ports, r.String())
		}
	}
}

// normalizeManager is the normal form of a manager's name, if there is such a manager.
func normalizeManager(name string) (string, bool) {
	switch strings.ToLower(name) {
	case "", ManagerK8, "k8s", "kubernetes":
		return ManagerK8, true
	}
	return "", false
}
