package rke2

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/rke2config"
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

// Pin pins what the machines of a new cluster install: its release, the archives of images, and the ingress controller
// that this release deploys.
func (s Source) Pin(ctx context.Context, spec api.ClusterSpec) (api.Artifacts, error) {
	release := s.ForSpec(spec.ControlPlaneGroup())
	if accepted := rke2config.IngressControllersOf(release.Version); spec.Ingress != "" &&
		!slices.Contains(accepted, spec.Ingress) { // the spec may have left the version to these settings
		return api.Artifacts{}, &Error{Kind: BadArtifacts, Permanent: true, Message: fmt.Sprintf(
			"RKE2 %s does not ship the ingress controller %s that the cluster wants", release.Version, spec.Ingress)}
	}
	a, err := ResolveArtifacts(ctx, release.Version, release.Source, release.SHA256)
	if err != nil {
		return a, err
	}
	a.Ingress = rke2config.DefaultIngress(a.Version)
	a.Images, err = PinImages(ctx, a, spec.RKE2.Images)
	return a, err
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
		Want: "a release that its source has: " + why + "; name another version, or another source with rke2.source"}}
}
