package rke2

import (
	"cmp"
	"context"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// Source names a release and where it comes from: see ResolveArtifacts.
type Source struct{ Version, Source, SHA256 string }

// ForSpec returns the release that a cluster gets: what its spec names, completed by s. A checksum holds only for the
// release that it was given with.
func (s Source) ForSpec(spec api.ClusterSpec) Source {
	of := Source{
		Version: cmp.Or(spec.KubernetesVersion, s.Version),
		Source:  cmp.Or(spec.RKE2.Source, s.Source),
		SHA256:  spec.RKE2.SHA256,
	}
	if of.SHA256 == "" && of.Version == s.Version && of.Source == s.Source {
		of.SHA256 = s.SHA256
	}
	return of
}

// CheckRelease reports what is wrong with the release that a spec names, if anything: that is a result, not an error.
func (s Source) CheckRelease(ctx context.Context, spec api.ClusterSpec) []api.FieldError {
	if spec.KubernetesVersion == "" && spec.RKE2 == (api.RKE2Release{}) {
		return nil // the spec does not choose: the worker's settings are no input to reject
	}
	of := s.ForSpec(spec)
	err := CheckSource(ctx, of.Version, of.Source, of.SHA256)
	if err == nil {
		return nil
	}
	why := strings.Join(strings.Fields(err.Error()), " ")
	return []api.FieldError{{Field: "kubernetes_version", Value: of.Version,
		Want: why + "; name another version, or another source with rke2.source"}}
}
