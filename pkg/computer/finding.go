// Package computer finds what keeps clusters from running on the computer of skyd: facts are gathered once, without
// changing anything, and pure rules turn them into findings, each with its fix. Cloud docker applies the rules for its
// hosts, and skyctl check those for skyd itself.
package computer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// Finding is something about the computer that keeps a cluster from running there, or may.
type Finding = api.Finding

// The checks, as findings name them. docs/troubleshooting.md has a section for each.
const (
	checkEngine         = "DockerEngine"
	checkEngineVersion  = "DockerVersion"
	checkEngineSystem   = "DockerSystem"
	checkRootless       = "DockerRootless"
	checkDesktop        = "DockerDesktop"
	checkRemote         = "DockerRemote"
	checkUserNamespaces = "DockerUserNamespaces"
	checkStorage        = "DockerStorage"
	checkClocksApart    = "DockerClock"
	checkCgroups        = "Cgroups"
	checkNested         = "NestedContainers"
	checkModules        = "KernelModules"
	checkInotify        = "Inotify"
	checkMemory         = "Memory"
	checkCPUs           = "CPUs"
	checkDisk           = "Disk"
	checkInodes         = "Inodes"
	checkMTU            = "MTU"
	checkPodNetwork     = "PodNetwork"
	checkSubnets        = "DockerSubnets"
	checkFirewall       = "Firewall"
	checkProxy          = "Proxy"
	checkClock          = "Clock"
	checkFileSystem     = "FileSystem"
	checkDiskLatency    = "DiskLatency"
	checkPorts          = "Ports"
)

// Checks are the names of all checks.
var Checks = []string{checkEngine, checkEngineVersion, checkEngineSystem, checkRootless, checkDesktop, checkRemote,
	checkUserNamespaces, checkStorage, checkClocksApart, checkCgroups, checkNested, checkModules, checkInotify,
	checkMemory, checkCPUs, checkDisk, checkInodes, checkMTU, checkPodNetwork, checkSubnets, checkFirewall, checkProxy,
	checkClock, checkFileSystem, checkDiskLatency, checkPorts}

// hostRules find what keeps Docker hosts from running.
var hostRules = []func(Facts) []Finding{
	findUnusableEngine, findUnsuitableEngine, findEngineElsewhere, findStorage, findClocksApart, findMissingControllers,
	findNestedContainers, findMissingModules, findLowInotifyLimits, findTooLittleMemory, findTooFewCPUs, findFullDisk,
	findLargePackets, findOverlappingPodNetworks, findOverlappingSubnets, findFirewalls, findProxies,
}

// serverRules find what keeps skyd from working.
var serverRules = []func(Facts) []Finding{
	findWrongClock, findFullStateDisk, findNetworkFileSystem, findSlowDisk, findTakenPorts,
}

// FindHostProblems returns all that is wrong with the computer and its Docker engine for Docker hosts, problems first.
func FindHostProblems(f Facts) []Finding { return applyRules(hostRules, f) }

// FindServerProblems returns all that is wrong with the computer for skyd, problems first.
func FindServerProblems(f Facts) []Finding { return applyRules(serverRules, f) }

func applyRules(rules []func(Facts) []Finding, f Facts) []Finding {
	var found []Finding
	for _, rule := range rules {
		found = append(found, rule(f)...)
	}
	slices.SortStableFunc(found, func(a, b Finding) int { return rank(a) - rank(b) })
	return found
}

// rank orders findings by what they mean.
func rank(f Finding) int {
	if f.Severity == api.FindingProblem {
		return 0
	}
	return 1
}

// FormatProblems formats the problems as one line; "" if there are none. Warnings do not count.
func FormatProblems(found []Finding) string {
	var texts []string
	for _, f := range found {
		if f.Severity == api.FindingProblem {
			texts = append(texts, f.String())
		}
	}
	if len(texts) < 2 {
		return strings.Join(texts, "")
	}
	for i := range texts {
		texts[i] = fmt.Sprintf("(%d) %s", i+1, texts[i])
	}
	return fmt.Sprintf("%d problems: %s", len(texts), strings.Join(texts, "; "))
}

func newProblem(check, fix, format string, args ...any) Finding {
	return Finding{Check: check, Severity: api.FindingProblem, Message: fmt.Sprintf(format, args...), Fix: fix}
}

func newWarning(check, fix, format string, args ...any) Finding {
	return Finding{Check: check, Severity: api.FindingWarning, Message: fmt.Sprintf(format, args...), Fix: fix}
}
