package rke2

import (
	"cmp"
	"context"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// Source is a release and its origin: see ResolveArtifacts.
type Source struct{ Version, Source, SHA256 string }

// ForSpec returns the release for a cluster: the one in its spec, completed by s. A checksum applies only to the
// release that it was configured for.
func (s Source) ForSpec(spec api.GroupSpec) Source {
	release := Source{
		Version: cmp.Or(spec.KubernetesVersion, s.Version),
		Source:  cmp.Or(spec.RKE2.Source, s.Source),
		SHA256:  spec.RKE2.SHA256,
	}
	if release.SHA256 == "" && release.Version == s.Version && release.Source == s.Source {
		release.SHA256 = s.SHA256
	}
	return release
}

// CheckRelease returns what is wrong with the release in a spec: that is a result, not an error.
func (s Source) CheckRelease(ctx context.Context, spec api.GroupSpec) []api.FieldError {
	if spec.KubernetesVersion == "" && spec.RKE2 == (api.RKE2Release{}) {
		return nil // the release comes from the worker's settings, which are not user input
	}
	release := s.ForSpec(spec)
	err := CheckSource(ctx, release.Version, release.Source, release.SHA256)
	if err == nil {
		return nil
	}
	why := strings.Join(strings.Fields(err.Error()), " ")
	return []api.FieldError{{Field: "kubernetes_version", Value: release.Version,
		Want: why + "; name another version, or another source with rke2.source"}}
}
