package activities

import (
	"cmp"
	"context"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/gpu"
	"github.com/sky-shift/skyctl/pkg/rke2"
)

// ForSpec is the release that a cluster gets: what its spec names, and what this worker's settings say of the rest. A
// checksum holds for the release that it was given with.
func (s RKE2Source) ForSpec(spec api.ClusterSpec) RKE2Source {
	of := RKE2Source{
		Version: cmp.Or(spec.KubernetesVersion, s.Version),
		Source:  cmp.Or(spec.RKE2.Source, s.Source),
		SHA256:  spec.RKE2.SHA256,
	}
	if of.SHA256 == "" && of.Version == s.Version && of.Source == s.Source {
		of.SHA256 = s.SHA256
	}
	return of
}

// checkRelease looks whether the release that a spec names can be had; what is wrong is a result, not an error.
func (s RKE2Source) checkRelease(ctx context.Context, spec api.ClusterSpec) []api.FieldError {
	if spec.KubernetesVersion == "" && spec.RKE2 == (api.RKE2Release{}) {
		return nil // the worker's own settings are nobody's request
	}
	of := s.ForSpec(spec)
	err := rke2.CheckSource(ctx, of.Version, of.Source, of.SHA256)
	if err == nil {
		return nil
	}
	why := strings.Join(strings.Fields(err.Error()), " ")
	return []api.FieldError{{Field: "kubernetes_version", Value: of.Version,
		Want: why + "; name another version, or another source with rke2.source"}}
}

// chooseGPUStack is the GPU stack of a cluster: what its spec names, and what this worker's settings say of the rest.
func chooseGPUStack(spec api.ClusterSpec, own func(kind string) gpu.Stack) gpu.Stack {
	s := own(spec.GPUStack)
	s.Repo = cmp.Or(spec.GPU.ChartRepo, s.Repo)
	s.OperatorVersion = cmp.Or(spec.GPU.OperatorVersion, s.OperatorVersion)
	s.PluginVersion = cmp.Or(spec.GPU.PluginVersion, s.PluginVersion)
	s.Mirror = cmp.Or(spec.GPU.ImageMirror, s.Mirror)
	return s
}
