package api

import (
	"strings"
	"time"
)

// NewCluster returns a cluster in phase INIT whose spec has its defaults and normal form. The UID must be a new UUID.
func NewCluster(name, uid string, spec ClusterSpec, labels map[string]string, now time.Time) *Cluster {
	c := &Cluster{
		Metadata: Metadata{Name: name, UID: uid, Labels: labels, CreatedAt: now.UTC()},
		Spec:     spec,
	}
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

// SetDefaults does the same for a spec.
func (s *ClusterSpec) SetDefaults() {
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
