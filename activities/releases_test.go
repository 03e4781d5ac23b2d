package activities

import (
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/gpu"
)

func TestAClustersOwnReleaseGoesBeforeTheWorkersSettings(t *testing.T) {
	own := RKE2Source{Version: "v1.35.7+rke2r1", Source: "release", SHA256: "aa"}
	for _, tt := range []struct {
		name string
		spec api.ClusterSpec
		want RKE2Source
	}{
		{"a cluster of before", api.ClusterSpec{}, own},
		{"another version, whose checksum is another", api.ClusterSpec{KubernetesVersion: "v1.34.1+rke2r1"},
			RKE2Source{Version: "v1.34.1+rke2r1", Source: "release"}},
		{"the same version", api.ClusterSpec{KubernetesVersion: own.Version}, own},
		{"another source", api.ClusterSpec{RKE2: api.RKE2Release{Source: "/kit"}},
			RKE2Source{Version: own.Version, Source: "/kit"}},
		{"a checksum of its own", api.ClusterSpec{RKE2: api.RKE2Release{SHA256: "bb"}},
			RKE2Source{Version: own.Version, Source: "release", SHA256: "bb"}},
	} {
		if got := own.ForSpec(tt.spec); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestAReleaseThatCannotBeHadIsBadInput(t *testing.T) {
	own := RKE2Source{Version: "v1.35.7+rke2r1", Source: t.TempDir()}
	spec := api.ClusterSpec{KubernetesVersion: "v1.34.1+rke2r1"}
	got := own.checkRelease(t.Context(), spec)
	if len(got) != 1 || got[0].Field != "kubernetes_version" || got[0].Value != spec.KubernetesVersion ||
		!strings.Contains(got[0].Want, own.Source) {
		t.Errorf("got %+v", got)
	}
	if got := own.checkRelease(t.Context(), api.ClusterSpec{}); got != nil {
		t.Errorf("what nobody asked for: %+v", got)
	}
}

func TestAClustersOwnGPUStackGoesBeforeTheWorkersSettings(t *testing.T) {
	own := func(kind string) gpu.Stack {
		return gpu.Stack{Kind: kind, OperatorVersion: "v26.3.2", PluginVersion: "0.19.2", Repo: "https://charts"}
	}
	spec := api.ClusterSpec{GPUStack: "operator",
		GPU: api.GPURelease{OperatorVersion: "v26.3.1", ImageMirror: "mirror"}}
	got := chooseGPUStack(spec, own)
	if got.Kind != "operator" || got.OperatorVersion != "v26.3.1" || got.Mirror != "mirror" ||
		got.PluginVersion != "0.19.2" || got.Repo != "https://charts" {
		t.Errorf("got %+v", got)
	}
}
