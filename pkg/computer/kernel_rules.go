package computer

import (
	"fmt"
	"slices"
	"strings"
)

// findMissingControllers reports cgroup controllers that nodes need and the kernel lacks. With version 1 a kubelet
// needs more of them; see pkg/rke2/preflight.
func findMissingControllers(f Facts) []Finding {
	if !f.Engine.isHere() || len(f.Controllers) == 0 {
		return nil
	}
	needed := []string{"cpu", "cpuset", "memory", "pids"}
	if f.CgroupVersion == 1 {
		needed = append(needed, "cpuacct")
	}
	missing := slices.DeleteFunc(needed, func(c string) bool { return slices.Contains(f.Controllers, c) })
	var found []Finding
	if len(missing) > 0 {
		found = append(found, newProblem(checkCgroups,
			"boot the kernel with them, for example with cgroup_enable=memory "+
				"on its command line, or use another kernel",
			"nodes need the cgroup controllers %s, which this kernel lacks", strings.Join(missing, ", ")))
	}
	if f.CgroupVersion == 1 {
		found = append(found, newWarning(checkCgroups, "nothing has to be done now; to change, boot with "+
			"systemd.unified_cgroup_hierarchy=1, or use a newer distribution",
			"this computer has cgroup version 1: it works, but Kubernetes has deprecated it"))
	}
	return found
}

// The parts of the kernel that rules ask for.
const (
	moduleOverlay  = "overlay"
	moduleVXLAN    = "vxlan"
	moduleBridge   = "br_netfilter"
	moduleIPTables = "ip_tables"
	moduleNFTables = "nf_tables"
)

// findMissingModules reports parts of the kernel that hosts need and cannot load.
func findMissingModules(f Facts) []Finding {
	if !f.Engine.isHere() {
		return nil
	}
	const fix = "install the modules of this kernel (Ubuntu: sudo apt-get install linux-modules-extra-$(uname -r); " +
		"after an upgrade of the kernel: reboot), then sudo modprobe "
	lacks := func(m string) bool { there, known := f.Modules[m]; return known && !there }
	var found []Finding
	if lacks(moduleOverlay) {
		found = append(found, newProblem(checkModules, fix+moduleOverlay,
			"the kernel has no module overlay: containerd needs it for the file systems of pods"))
	}
	if lacks(moduleIPTables) && lacks(moduleNFTables) {
		found = append(found, newProblem(checkModules, fix+moduleIPTables,
			"the kernel has neither ip_tables nor nf_tables: Services and network policies need one of them"))
	}
	if lacks(moduleVXLAN) {
		found = append(found, newWarning(checkModules, fix+moduleVXLAN,
			"the kernel has no module vxlan: the pod networks canal, flannel and calico need it"))
	}
	if lacks(moduleBridge) {
		found = append(found, newWarning(checkModules, fix+moduleBridge,
			"the kernel has no module br_netfilter: Services need it where pods are attached to a bridge"))
	}
	return found
}

// Kernel limits that all hosts of a computer share, with the values that a few dozen hosts need: systemd, the container
// runtime and the kubelet of each use inotify instances of the one root user. Without them a kubelet fails with
// "inotify_init: too many open files".
const (
	InotifyInstances = 8192
	InotifyWatches   = 524288
)

// findLowInotifyLimits reports limits that skyd may not raise itself.
func findLowInotifyLimits(f Facts) []Finding {
	low := f.InotifyInstances > 0 && f.InotifyInstances < InotifyInstances ||
		f.InotifyWatches > 0 && f.InotifyWatches < InotifyWatches
	if !low || f.Root || !f.Engine.isHere() {
		return nil
	}
	return []Finding{newWarning(checkInotify, fmt.Sprintf("printf 'fs.inotify.max_user_instances=%d\\n"+
		"fs.inotify.max_user_watches=%d\\n' | sudo tee /etc/sysctl.d/90-skyctl-inotify.conf; sudo sysctl --system",
		InotifyInstances, InotifyWatches),
		"the kernel allows %d inotify instances and %d watches for each user, which a few hosts use up: their "+
			"kubelets "+
			"then fail with \"too many open files\"", f.InotifyInstances, f.InotifyWatches)}
}
