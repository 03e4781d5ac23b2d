package chart

import (
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestSpecOverridesTheWorkersGPUSettings(t *testing.T) {
	own := Stack{Kind: "operator", OperatorVersion: "v26.3.2", PluginVersion: "0.19.2", Repo: "https://charts"}
	spec := api.GroupSpec{GPUStack: "operator",
		GPU: api.GPURelease{OperatorVersion: "v26.3.1", ImageMirror: "mirror"}}
	got := own.ForSpec(spec)
	if got.Kind != "operator" || got.OperatorVersion != "v26.3.1" || got.Mirror != "mirror" ||
		got.PluginVersion != "0.19.2" || got.Repo != "https://charts" {
		t.Errorf("got %+v", got)
	}
}
