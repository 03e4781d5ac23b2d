package computer

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	utilversion "k8s.io/apimachinery/pkg/util/version"
)

const (
	// oldestEngine is the first version that runs a container with a cgroup namespace of its own, which systemd needs.
	oldestEngine = "20.10"
	// maxClockSkew is the largest accepted difference between two clocks; see pkg/rke2/preflight.
	maxClockSkew = 2 * time.Minute
	// ownEngine is the fix where an engine's hosts cannot be reached.
	ownEngine = "install Docker Engine on this computer itself (docs.docker.com/engine/install), and unset " +
		"DOCKER_HOST or set it to unix:///var/run/docker.sock; then skyctl server restart"
)

// findUnusableEngine reports an engine that cannot be asked.
func findUnusableEngine(f Facts) []Finding {
	e := f.Engine
	switch e.State {
	case EngineAbsent:
		return []Finding{newProblem(checkEngine, "install it (Debian and Ubuntu: sudo apt-get install docker.io; "+
			"Fedora: sudo dnf install moby-engine; others: docs.docker.com/engine/install) and start it (sudo "+
			"systemctl start docker), or set DOCKER_HOST", "no Docker engine answers at %s, and none is installed",
			e.Address)}
	case EngineNotRunning:
		return []Finding{newProblem(checkEngine,
			"start it (sudo systemctl start docker; sudo systemctl enable docker at boot), or set DOCKER_HOST",
			"no Docker engine answers at %s", e.Address)}
	case EngineForbidden:
		fix := "sudo usermod -aG docker $USER, log out and in again, then skyctl server restart (members of that " +
			"group can become root)"
		if e.InGroup {
			fix = "log out and in again, then skyctl server restart: you joined the group docker after skyd started"
		}
		return []Finding{newProblem(checkEngine, fix, "this user may not use the Docker engine at %s", e.Address)}
	case EngineSilent:
		return []Finding{newProblem(checkEngine,
			"look at its log (journalctl -u docker) and restart it (sudo systemctl "+
				"restart docker)", "the Docker engine at %s does not answer properly: %s", e.Address, e.Answer)}
	}
	return nil
}

// findUnsuitableEngine reports engines of a kind that cannot run hosts.
func findUnsuitableEngine(f Facts) []Finding {
	e := f.Engine
	var found []Finding
	if e.System != "" && e.System != "linux" {
		found = append(found, newProblem(checkEngineSystem, "switch Docker to Linux containers, or use Docker on Linux",
			"the engine runs %s containers; hosts need Linux containers", e.System))
	}
	if isOlderVersion(e.Version, oldestEngine) {
		found = append(found, newProblem(checkEngineVersion, "upgrade Docker (docs.docker.com/engine/install)",
			"the engine is %s; hosts need %s or newer", e.Version, oldestEngine))
	}
	if e.Rootless {
		found = append(found, newProblem(checkRootless, ownEngine+
			". Rootless Docker may stay beside it",
			"the engine is rootless: this computer cannot reach its containers, and they cannot be nodes"))
	}
	if e.UserNamespaces {
		found = append(found, newWarning(checkUserNamespaces, "remove userns-remap from /etc/docker/daemon.json and "+
			"restart Docker",
			"the engine maps users (userns-remap): it starts no privileged containers, and the control plane of RKE2 "+
				"needs one"))
	}
	return found
}

// isOlderVersion compares the major and minor numbers of two versions of Docker. Its versions are not semantic ones:
// 18.09.1 has a leading zero. A version that cannot be parsed does not count as older.
func isOlderVersion(version, than string) bool {
	v, err := utilversion.ParseMajorMinor(version)
	return err == nil && v.LessThan(utilversion.MustParseMajorMinor(than))
}

// dockerDesktop is how Docker Desktop calls its system.
const dockerDesktop = "Docker Desktop"

// findEngineElsewhere reports engines of another computer or virtual machine, whose containers have no address that
// this computer reaches.
func findEngineElsewhere(f Facts) []Finding {
	e := f.Engine
	at, err := url.Parse(e.Address)
	if err != nil {
		at = &url.URL{}
	}
	switch {
	case at.Scheme == "ssh":
		return []Finding{newProblem(checkRemote, ownEngine, "the engine at %s is reached through SSH, which skyctl "+
			"does not use for Docker", e.Address)}
	case strings.Contains(e.Product, dockerDesktop):
		return []Finding{newProblem(checkDesktop, ownEngine, "the engine is that of Docker Desktop, which runs in a "+
			"virtual machine: this computer cannot reach its containers")}
	case at.Scheme == "tcp" && !isLoopback(at.Hostname()):
		return []Finding{newWarning(checkRemote, ownEngine+", or add a route to its networks", "the engine at %s is "+
			"that of another computer: skyd reaches its hosts only if there is a route to their network", e.Address)}
	case f.Container != "" && e.Host != "" && e.Host != e.OwnHost:
		return []Finding{newWarning(checkRemote, "run skyd on the computer of the engine, not in a container",
			"skyd runs in a container (%s) and uses the engine of the computer outside (%s): the paths of the two "+
				"differ, and skyd reaches the hosts only if it is on their network", f.Container, e.Host)}
	}
	return nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// findStorage reports storage on which containers cannot run containers.
func findStorage(f Facts) []Finding {
	e := f.Engine
	var found []Finding
	if e.NoFileTypes {
		found = append(found, newProblem(checkStorage,
			"move Docker's data to a file system that has them (xfs: mkfs.xfs "+
				"-n ftype=1; or ext4) with data-root in /etc/docker/daemon.json",
			"the file system of %s has no file types (d_type), without which overlay does not work", e.RootDir))
	}
	if e.Driver == "vfs" {
		found = append(found, newWarning(checkStorage,
			"use overlay2: remove storage-driver from /etc/docker/daemon.json "+
				"and restart Docker", "the engine stores images with vfs, which copies each layer: a host takes "+
				"minutes "+
				"and "+
				"several GiB"))
	}
	return found
}

func findClocksApart(f Facts) []Finding {
	if f.Engine.Skew.Abs() <= maxClockSkew {
		return nil
	}
	return []Finding{newProblem(checkClocksApart, "set both clocks (sudo timedatectl set-ntp true); the clock of a "+
		"virtual machine that slept is set when it restarts",
		"the engine's clock is %s ours, so certificates would not be valid", formatSkew(f.Engine.Skew))}
}

// formatSkew formats how far a clock is ahead of another one.
func formatSkew(skew time.Duration) string {
	about := skew.Abs().Round(time.Minute)
	if skew < 0 {
		return fmt.Sprintf("%s behind", about)
	}
	return fmt.Sprintf("%s ahead of", about)
}

// findNestedContainers reports what a container in a container lacks.
func findNestedContainers(f Facts) []Finding {
	if f.Capabilities == 0 || f.Capabilities&capSysResource != 0 || !f.Engine.isHere() {
		return nil
	}
	// runc cannot lower the OOM scores of RKE2's static pods there: see findMissingCapabilities in pkg/rke2/preflight.
	return []Finding{newWarning(checkNested, "use a computer or a virtual machine with all capabilities, and run "+
		"Docker "+
		"on it, not in a confined container",
		"this computer lacks CAP_SYS_RESOURCE, as confined containers do: hosts get single capabilities, and the "+
			"control plane of RKE2's own releases does not start in them")}
}

// capSysResource is the bit of CAP_SYS_RESOURCE (linux/capability.h).
const capSysResource = 1 << 24

// isHere reports whether the engine answers and shares the kernel of this process.
func (e Engine) isHere() bool {
	at, err := url.Parse(e.Address)
	return err == nil && e.State == EngineAnswers && !strings.Contains(e.Product, dockerDesktop) &&
		(at.Scheme == "unix" || at.Scheme == "tcp" && net.ParseIP(at.Hostname()).IsLoopback())
}
