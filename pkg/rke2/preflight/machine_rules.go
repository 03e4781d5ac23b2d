package preflight

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

func findUnsupportedPlatform(f Facts, _ Requirements) []Finding {
	if f.Unsupported == "" {
		return nil
	}
	return []Finding{newProblem(checkPlatform, "", "%s", f.Unsupported)}
}

// redHatFamily are the IDs of distributions that RKE2 installs from RPM packages (rancher/rke2 install.sh: where yum
// is).
var redHatFamily = []string{"rhel", "centos", "fedora", "rocky", "almalinux", "ol", "amzn"}

// findUnsupportedDistribution reports distributions on which an installation from a tarball does not work as it is.
func findUnsupportedDistribution(f Facts, _ Requirements) []Finding {
	if f.Container != "" || !slices.ContainsFunc(f.Distribution, func(id string) bool {
		return slices.Contains(redHatFamily, id)
	}) {
		return nil
	}
	return []Finding{newProblem(checkDistribution, "use an image with Ubuntu, Debian or SLES (--image_id)",
		"it runs %s, which skyctl does not support: there RKE2 needs its RPM packages with rke2-selinux, and "+
			"firewalld, "+
			"fapolicyd and nm-cloud-setup, which those images may run, break the pod network or stop RKE2's programs",
		f.Name)}
}

// reportedShare is how much of its memory a machine reports at least: its firmware and kernel keep some.
const reportedShare = 0.85

// findTooSmallSize reports servers whose static pods may not find room. It is a warning, because new clusters are
// refused before anything is launched (server_size.go in pkg/api), and servers of earlier versions may be smaller.
func findTooSmallSize(f Facts, r Requirements) []Finding {
	if r.Role != api.RoleHead || f.CPUs >= api.MinServerCPUs &&
		float64(f.MemoryBytes) >= reportedShare*api.MinServerMemoryGiB*(1<<30) {
		return nil
	}
	return []Finding{newWarning(checkSize, fmt.Sprintf("request a larger machine (--cpus %d+ --memory %d+)",
		api.MinServerCPUs, api.MinServerMemoryGiB),
		"it has %d CPUs and %s of memory; the pods of RKE2's server may not fit, which need %d CPUs and %d GiB", f.CPUs,
		formatGiB(f.MemoryBytes), api.MinServerCPUs, api.MinServerMemoryGiB)}
}

// The cgroup controllers that a node needs. A kubelet ends without one of version 1 (k8s.io/kubernetes v1.36.3
// pkg/kubelet/cm/container_manager_linux.go, validateSystemRequirements). It starts without any of version 2, but
// containers cannot be limited then.
var (
	controllersV1 = []string{"cpu", "cpuacct", "cpuset", "memory"}
	controllersV2 = []string{"cpu", "memory"}
)

func findMissingControllers(f Facts, _ Requirements) []Finding {
	needed := controllersV2
	if f.CgroupV1 {
		needed = controllersV1
	}
	var missing []string
	for _, c := range needed {
		if !slices.Contains(f.Controllers, c) {
			missing = append(missing, c)
		}
	}
	if len(missing) == 0 || len(f.Controllers) == 0 {
		return nil
	}
	return []Finding{newProblem(checkCgroups,
		"boot its kernel with them (such as cgroup_enable=memory), or use another image",
		"nodes need the cgroup controllers %s, which the machine lacks", strings.Join(missing, ", "))}
}

// findMissingModules reports kernel modules that the machine cannot load. A container uses its computer's kernel, and
// cannot know.
func findMissingModules(f Facts, r Requirements) []Finding {
	var found []Finding
	for _, m := range []struct {
		name, needs string
		needed      bool
		find        func(check, fix, format string, args ...any) Finding
	}{
		{"overlay", "containerd needs it for the file systems of pods", true, newProblem},
		{"vxlan", "the pod network needs it", r.VXLAN, newProblem},
		{"wireguard", "the encrypted pod network needs it", r.WireGuard, newProblem},
		{"br_netfilter", "Services need it where pods are attached to a bridge", true, newWarning},
	} {
		if there, known := f.Modules[m.name]; known && !there && m.needed && f.Container == "" {
			found = append(found, m.find(checkModules, "install the modules of its kernel (on Ubuntu: apt-get install "+
				"linux-modules-extra-$(uname -r)), or use another image",
				"its kernel has no module %s: %s", m.name, m.needs))
		}
	}
	return found
}

// capSysResource is the bit of CAP_SYS_RESOURCE (linux/capability.h).
const capSysResource = 1 << 24

// findMissingCapabilities reports containers that may not lower the score by which the kernel chooses what to kill when
// memory is short. RKE2's static pods have a low one (oom_score_adj -997), so runc cannot start them there. With a kit,
// which leaves out these scores, it is a warning, and in a cluster that runs in such containers.
func findMissingCapabilities(f Facts, r Requirements) []Finding {
	if f.Container == "" || f.Capabilities == 0 || f.Capabilities&capSysResource != 0 {
		return nil
	}
	find := newProblem
	if isKit(r.Release) || r.CloudProven {
		find = newWarning
	}
	return []Finding{find(checkCapabilities,
		"use a Docker engine that runs on the computer itself, not in a confined container",
		"the container lacks CAP_SYS_RESOURCE, without which the pods of RKE2's control plane do not start; only "+
			"releases that leave out their OOM scores work")}
}

// isKit reports whether a release is one of the kits that stand in for RKE2 in tests and demos (test/rke2kit), as its
// version says: v1.36.4+rke2r1-kit. They need less of a machine.
func isKit(release string) bool { return strings.HasSuffix(release, "-kit") }

func findSELinux(f Facts, _ Requirements) []Finding {
	if !f.SELinux || f.Container != "" {
		return nil
	}
	return []Finding{newProblem(checkSELinux,
		"use an image without SELinux (Ubuntu, Debian), or set SELINUX=permissive in /etc/selinux/config and reboot",
		"SELinux is enforced; RKE2 then needs the policy of rke2-selinux, which skyctl does not install")}
}

// harmfulServices are units that break RKE2 while they run (docs.rke2.io/known_issues, and
// docs.rke2.io/install/requirements for nm-cloud-setup).
var harmfulServices = map[string]string{
	"fapolicyd":            "it keeps the programs of RKE2 and of pods from running",
	"nm-cloud-setup":       "it removes the routes of pods",
	"nm-cloud-setup.timer": "it removes the routes of pods",
}

func findHarmfulServices(f Facts, _ Requirements) []Finding {
	var found []Finding
	for _, unit := range strings.Fields(checkedUnits) {
		if why := harmfulServices[unit]; why != "" && f.Units[unit] {
			found = append(found, newProblem(checkService, "systemctl disable --now "+unit+", then reboot the machine",
				"%s runs: %s", unit, why))
		}
	}
	return found
}

// The limits of the kernel's inotify that RKE2 recommends for nodes with GPUs (rke2-docs
// docs/install/requirements.md), where many pods watch files.
const (
	inotifyInstances = 8192
	inotifyWatches   = 524288
)

// hasLowInotifyLimits reports limits that MendMachine raises. In a container they are the computer's: see
// kernel_limits.go in pkg/cloud/docker.
func hasLowInotifyLimits(f Facts) bool {
	return f.Container == "" && (f.InotifyInstances > 0 && f.InotifyInstances < inotifyInstances ||
		f.InotifyWatches > 0 && f.InotifyWatches < inotifyWatches)
}

func findLowInotifyLimits(f Facts, _ Requirements) []Finding {
	if !hasLowInotifyLimits(f) {
		return nil
	}
	return []Finding{newWarning(checkInotify, fmt.Sprintf("sysctl -w fs.inotify.max_user_instances=%d "+
		"fs.inotify.max_user_watches=%d", inotifyInstances, inotifyWatches),
		"its limits for inotify are %d instances and %d watches: pods with GPUs and many files fail with \"too many "+
			"open "+
			"files\"", f.InotifyInstances, f.InotifyWatches)}
}
