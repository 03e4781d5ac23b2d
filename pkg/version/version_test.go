package version

import (
	"runtime/debug"
	"testing"
)

func TestTheVersionOfTheLinkerOverridesTheBuildInfo(t *testing.T) {
	build := &debug.BuildInfo{Main: debug.Module{Version: "v0.9.0"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"},
	}}
	linked := Info{Version: "v1.2.3", Commit: "feed"}
	linked.addBuildInfo(build)
	if linked.Version != "v1.2.3" || linked.Commit != "feed" {
		t.Errorf("linked: %+v", linked)
	}
	var plain Info
	plain.addBuildInfo(build)
	if plain.Version != "v0.9.0" || plain.Commit != "0123456789abcdef" || !plain.Changed {
		t.Errorf("plain: %+v", plain)
	}
}

func TestABuildWithoutVersionIsDevel(t *testing.T) {
	if got := ReadBuild(); got.Version == "" || got.Go == "" || got.Platform == "" {
		t.Errorf("something is empty: %+v", got)
	}
}
