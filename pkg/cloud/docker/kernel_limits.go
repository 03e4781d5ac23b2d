package docker

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// kernelLimits are those of the machine that all its hosts share, with what a few dozen hosts need: systemd, the
// container runtime and the kubelet of each hold inotify instances of the one root user. Where they run out, a kubelet
// fails with "inotify_init: too many open files".
var kernelLimits = map[string]int{
	"fs/inotify/max_user_instances": 8192,
	"fs/inotify/max_user_watches":   524288,
}

// raiseKernelLimits raises what is too low, where this process may; where it may not, the log says what a person can
// do.
func (c *Cloud) raiseKernelLimits() {
	if !c.engine.IsLocal() {
		return
	}
	for name, want := range kernelLimits {
		path := filepath.Join("/proc/sys", name)
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // not a Linux that has it
		}
		if have, err := strconv.Atoi(strings.TrimSpace(string(raw))); err != nil || have >= want {
			continue
		}
		if err := os.WriteFile(path, []byte(strconv.Itoa(want)), 0o644); err != nil {
			c.engine.Log.Warn("a kernel limit is low for many hosts, and this user may not raise it",
				"limit", name, "have", strings.TrimSpace(string(raw)), "fix",
				"sysctl -w "+strings.ReplaceAll(name, "/", ".")+"="+strconv.Itoa(want))
		}
	}
}
