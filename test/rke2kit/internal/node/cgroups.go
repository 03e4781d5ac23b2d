package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/logline"
)

// CgroupPrefix begins the name of a cgroup root that a node made for itself.
const CgroupPrefix = "rke2kit-"

const (
	driverCgroupfs = "cgroupfs"
	driverSystemd  = "systemd"

	// cgroup2Magic is the type of the unified hierarchy's file system (linux/magic.h).
	cgroup2Magic = 0x63677270
)

// cgroups says how the kubelet and containerd keep pods' cgroups. Root is "" for
// the top of the tree.
type cgroups struct {
	driver string
	root   string
}

// detectCgroups inspects this machine's cgroups. A container that sees its engine's whole
// tree needs a root of its own there: kubelets that share a tree remove each
// other's pods as orphans.
func detectCgroups(node string) (cgroups, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return cgroups{}, fmt.Errorf("read mounts: %w", err)
	}
	mounts := outerCgroupMounts(string(data))
	if len(mounts) == 0 {
		return cgroups{driver: detectCgroupDriver()}, nil
	}
	root := "/" + CgroupPrefix + node
	for _, mount := range mounts {
		dir := filepath.Join(mount, root)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return cgroups{}, fmt.Errorf("create cgroup root: %w", err)
		}
		if filepath.Base(mount) == "cpuset" {
			inheritCpuset(mount, dir)
		}
	}
	logline.Infof("The cgroup tree is shared with other machines; pods go to %s", root)
	return cgroups{driver: driverCgroupfs, root: root}, nil
}

// detectCgroupDriver leaves a unified hierarchy to systemd if systemd is the first
// process and so owns it. In older hierarchies the kubelet writes directly.
func detectCgroupDriver() string {
	var fs syscall.Statfs_t
	unified := syscall.Statfs("/sys/fs/cgroup", &fs) == nil && int64(fs.Type) == cgroup2Magic
	if _, err := os.Stat("/run/systemd/system"); err == nil && unified {
		return driverSystemd
	}
	return driverCgroupfs
}

// inheritCpuset fills a version 1 cpuset, which starts out empty and unusable.
func inheritCpuset(parent, dir string) {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(parent, file))
		if err != nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, file), value, 0o644); err != nil {
			logline.Warnf("failed to fill %s: %v", filepath.Join(dir, file), err)
		}
	}
}

// outerCgroupMounts lists the mounted cgroup hierarchies whose root lies outside
// of this process's cgroup namespace: mountinfo shows it as a path of "..".
func outerCgroupMounts(mountinfo string) []string {
	var out []string
	for line := range strings.Lines(mountinfo) {
		before, after, found := strings.Cut(strings.TrimSpace(line), " - ")
		fields := strings.Fields(before)
		if !found || len(fields) < 5 || !strings.HasPrefix(after, "cgroup") {
			continue
		}
		if strings.HasPrefix(fields[3], "/..") {
			out = append(out, fields[4])
		}
	}
	return out
}
