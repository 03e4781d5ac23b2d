package docker

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// kernelLimits are kernel limits that all hosts of a computer share, with the values that a few dozen hosts need:
// systemd, the container runtime and the kubelet of each use inotify instances of the one root user. Without them a
// kubelet fails with "inotify_init: too many open files".
var kernelLimits = map[string]int{
	"fs/inotify/max_user_instances": 8192,
	"fs/inotify/max_user_watches":   524288,
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
