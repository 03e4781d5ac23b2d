package rke2

import (
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestSpecOverridesTheWorkersRelease(t *testing.T) {
	own := Source{Version: "v1.35.7+rke2r1", Source: "release", SHA256: "aa"}
	for _, tt := range []struct {
		name string
		spec api.GroupSpec
		want Source
	}{
		{"no release named", api.GroupSpec{}, own},
		{"another version, without its checksum", api.GroupSpec{KubernetesVersion: "v1.34.1+rke2r1"},
			Source{Version: "v1.34.1+rke2r1", Source: "release"}},
		{"the same version", api.GroupSpec{KubernetesVersion: own.Version}, own},
		{"another source", api.GroupSpec{RKE2: api.RKE2Release{Source: "/kit"}},
			Source{Version: own.Version, Source: "/kit"}},
		{"a checksum of its own", api.GroupSpec{RKE2: api.RKE2Release{SHA256: "bb"}},
			Source{Version: own.Version, Source: "release", SHA256: "bb"}},
	} {
		if got := own.ForSpec(tt.spec); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestUnavailableReleaseIsAFieldError(t *testing.T) {
	own := Source{Version: "v1.35.7+rke2r1", Source: t.TempDir()}
	spec := api.GroupSpec{KubernetesVersion: "v1.34.1+rke2r1"}
	got := own.CheckRelease(t.Context(), spec)
	if len(got) != 1 || got[0].Field != "kubernetes_version" || got[0].Value != spec.KubernetesVersion ||
		!strings.HasPrefix(got[0].Want, "a release that its source has: RKE2 v1.34.1+rke2r1 is not available from ") ||
		!strings.Contains(got[0].Want, own.Source) {
		t.Errorf("got %+v", got)
	}
	if got := own.CheckRelease(t.Context(), api.GroupSpec{}); got != nil {
		t.Errorf("a spec that names no release: %+v", got)
	}
}
