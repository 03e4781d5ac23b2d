package docker

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sky-shift/skyctl/pkg/computer"
)

// kernelLimits are kernel limits that all hosts of a computer share.
var kernelLimits = map[string]int{
	"fs/inotify/max_user_instances": computer.InotifyInstances,
	"fs/inotify/max_user_watches":   computer.InotifyWatches,
}

// raiseKernelLimits raises the limits that are too low. If this process may not do so, it logs how to.
func (c *Cloud) raiseKernelLimits() {
	if !c.engine.IsLocal() {
		return
	}
	for name, want := range kernelLimits {
		path := filepath.Join("/proc/sys", name)
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // this kernel does not have it
		}
		if have, err := strconv.Atoi(strings.TrimSpace(string(raw))); err != nil || have >= want {
			continue
		}
		if err := os.WriteFile(path, []byte(strconv.Itoa(want)), 0o644); err != nil {
			c.engine.Log.Warn("a kernel limit is too low for many hosts, and this user may not raise it",
				"limit", name, "have", strings.TrimSpace(string(raw)), "fix",
				"sysctl -w "+strings.ReplaceAll(name, "/", ".")+"="+strconv.Itoa(want))
		}
	}
}
