package computer

import (
	"fmt"

	"github.com/sky-shift/skyctl/pkg/api"
)

const (
	gib = 1 << 30
	// serverUseGiB is the memory that a server takes, roughly.
	serverUseGiB = 3
	// minFreeGiB is the disk space for one host of a cluster: its image, RKE2 and what RKE2 unpacks. With less than
	// leastFreeGiB it is refused as a node of RKE2's own releases, and with less than leastFreeKitGiB as any: see
	// spaceForRKE2 in pkg/rke2/preflight. minFreeFiles is the number of its files.
	minFreeGiB                    = 5
	leastFreeGiB, leastFreeKitGiB = 4, 2
	minFreeFiles                  = 200_000
	// fewFiles is too little for RKE2 to unpack its images.
	fewFiles = 20_000
	// evictionShare is the share of free disk space below which the kubelet evicts pods; see evictionHard in pkg/rke2.
	// The kubelets of hosts see the whole disk of the engine's computer.
	evictionShare = 0.05
	// minStateGiB is the free space that the data of etcd and Temporal need to grow.
	minStateGiB = 1
)

func findTooLittleMemory(f Facts) []Finding {
	e := f.Engine
	if e.State != EngineAnswers {
		return nil
	}
	const fix = "use a computer or a virtual machine with more memory, or a cloud"
	var found []Finding
	if e.MemoryGiB < api.MinServerMemoryGiB {
		return append(found, newProblem(checkMemory, fix,
			"the engine's computer has %.1f GiB of memory; the server of a cluster needs %d GiB", e.MemoryGiB,
			api.MinServerMemoryGiB))
	}
	if e.isHere() && f.MemoryAvailable > 0 && f.MemoryAvailable < serverUseGiB {
		found = append(found, newWarning(checkMemory, "end other programs, or delete clusters",
			"%.1f of %.1f GiB of memory are available; a server takes about %d GiB, and each worker 1.5",
			f.MemoryAvailable, e.MemoryGiB, serverUseGiB))
	}
	return append(found, findSharedMemory(e)...)
}

// findSharedMemory reports that the hosts which run and those of the next cluster may use more memory together than the
// computer has. A computer without any has enough for the smallest cluster.
func findSharedMemory(e Engine) []Finding {
	who, next := e.describeNextHosts()
	if e.Hosts.MemoryGiB+next.MemoryGiB <= e.MemoryGiB || e.Hosts.Count+e.NewHosts.Count == 0 {
		return nil
	}
	const fix = "delete clusters, or give them less memory (--memory)"
	if e.Hosts.Count == 0 {
		return []Finding{newWarning(checkMemory, fix, "%s may use %.1f GiB of memory, and the computer has %.1f: if "+
			"all is used, the kernel ends programs", who, next.MemoryGiB, e.MemoryGiB)}
	}
	return []Finding{newWarning(checkMemory, fix, "%s may use %.1f of the %.1f GiB of memory already, and %s %.1f: if "+
		"all use theirs, the kernel ends programs", formatHosts(e.Hosts.Count), e.Hosts.MemoryGiB, e.MemoryGiB, who,
		next.MemoryGiB)}
}

// describeNextHosts returns the hosts of the next cluster, and who they are. Where nothing is being created, that
// cluster is the smallest one.
func (e Engine) describeNextHosts() (string, HostTotals) {
	switch n := e.NewHosts.Count; n {
	case 0:
		return "the server of another cluster", HostTotals{CPUs: api.MinServerCPUs, MemoryGiB: api.MinServerMemoryGiB}
	case 1:
		return "the cluster's machine", e.NewHosts
	default:
		return fmt.Sprintf("the cluster's %d machines", n), e.NewHosts
	}
}

func findTooFewCPUs(f Facts) []Finding {
	e := f.Engine
	if e.State != EngineAnswers {
		return nil
	}
	if e.CPUs < api.MinServerCPUs {
		return []Finding{newProblem(checkCPUs, "use a computer or a virtual machine with more CPUs, or a cloud",
			"the engine's computer has %d CPUs; the server of a cluster needs %d", e.CPUs, api.MinServerCPUs)}
	}
	return findSharedCPUs(e)
}

// findSharedCPUs reports that the hosts which run and those of the next cluster have more CPUs together than the
// computer.
func findSharedCPUs(e Engine) []Finding {
	who, next := e.describeNextHosts()
	sum := e.Hosts.CPUs + next.CPUs
	if sum <= float64(e.CPUs) {
		return nil
	}
	if e.Hosts.Count > 0 {
		who += " and " + formatHosts(e.Hosts.Count)
	}
	return []Finding{newWarning(checkCPUs, "nothing has to be done; fewer machines or --cpus make it faster",
		"%s have %g CPUs together and share the computer's %d, which is slower while all are busy", who, sum, e.CPUs)}
}

func formatHosts(n int) string {
	if n == 1 {
		return "1 running host"
	}
	return fmt.Sprintf("%d running hosts", n)
}

// findFullDisk reports that the disk of the engine's data is too full for a host.
func findFullDisk(f Facts) []Finding {
	s := f.Engine.Space
	if s.Total == 0 {
		return nil
	}
	const fix = "free some disk space, for example with docker system prune, or move Docker's data (data-root in " +
		"/etc/docker/daemon.json)"
	var found []Finding
	free, all := float64(s.Free)/gib, float64(s.Total)/gib
	if usable := free - evictionShare*all; usable < minFreeGiB {
		find := newWarning
		if usable < leastFreeKitGiB {
			find = newProblem
		}
		found = append(found, find(checkDisk, fix, "only %.1f GiB are free where Docker keeps its data (%s); the "+
			"kubelet evicts pods while less than %.0f%% (%.1f GiB) are free, and above that a node needs about %d "+
			"GiB: a create is refused with less than %d (RKE2's own releases) or %d (a kit)", free, f.Engine.RootDir,
			100*evictionShare, evictionShare*all, minFreeGiB, leastFreeGiB, leastFreeKitGiB))
	}
	switch {
	case s.Files > 0 && s.FreeFiles < fewFiles:
		found = append(found, newProblem(checkInodes, fix,
			"only %d of %d file names (inodes) are free where Docker keeps "+
				"its data (%s); the images of a node have about %d files", s.FreeFiles, s.Files, f.Engine.RootDir,
			minFreeFiles))
	case s.Files > 0 && s.FreeFiles < minFreeFiles:
		found = append(found, newWarning(checkInodes, fix,
			"%d of %d file names (inodes) are free where Docker keeps its "+
				"data (%s); the images of a node have about %d files", s.FreeFiles, s.Files, f.Engine.RootDir,
			minFreeFiles))
	}
	return found
}

// findFullStateDisk reports that the disk of skyd's data is too full.
func findFullStateDisk(f Facts) []Finding {
	s := f.State.Space
	if s.Total == 0 {
		return nil
	}
	const fix = "free some space"
	if free := float64(s.Free) / gib; free < minStateGiB {
		return []Finding{newProblem(checkDisk, fix, "only %.1f GiB are free at %s: etcd and Temporal stop if the disk "+
			"is full", free, f.State.Path)}
	}
	if s.IsLow() {
		return []Finding{newProblem(checkInodes, fix, "%s", s.DescribeProblem())}
	}
	return nil
}
