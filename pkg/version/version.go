// Package version reads which build of skyctl is running.
package version

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version and commit are set by the linker: -ldflags "-X github.com/sky-shift/skyctl/pkg/version.version=v1.2.3".
var version, commit string

// Info is a build, as `skyctl version -o json` prints it.
type Info struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	// Changed: the files differed from those of Commit.
	Changed  bool   `json:"changed,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// ReadBuild returns what the linker set or, if it set nothing, what Go recorded about the build.
func ReadBuild() Info {
	info := Info{Version: version, Commit: commit, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if build, ok := debug.ReadBuildInfo(); ok {
		info.addBuildInfo(build)
	}
	if info.Version == "" {
		info.Version = "devel"
	}
	return info
}

func (i *Info) addBuildInfo(build *debug.BuildInfo) {
	if i.Version == "" && build.Main.Version != "(devel)" {
		i.Version = build.Main.Version
	}
	if i.Commit != "" {
		return
	}
	for _, s := range build.Settings {
		switch s.Key {
		case "vcs.revision":
			i.Commit = s.Value
		case "vcs.modified":
			i.Changed = s.Value == "true"
		}
	}
}

func (i Info) String() string {
	s := i.Version
	if i.Commit != "" {
		s += fmt.Sprintf(" (%.12s", i.Commit)
		if i.Changed {
			s += ", changed"
		}
		s += ")"
	}
	return fmt.Sprintf("%s %s %s", s, i.Go, i.Platform)
}
