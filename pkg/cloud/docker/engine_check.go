package docker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"github.com/docker/docker/api/types/system"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

var _ cloud.Checker = (*Cloud)(nil)

const (
	// oldestEngine is the first that runs a container with a cgroup namespace of its own, which systemd needs.
	oldestEngine = "20.10"
	// minFreeGiB is what one host of a cluster takes up: its image, RKE2 and what that unpacks.
	minFreeGiB = 5
)

// InspectProvider says which engine there is, what its machine has, and what keeps hosts from running there.
func (c *Cloud) InspectProvider(ctx context.Context) (api.CheckFinding, []api.CloudStatus) {
	f := api.CheckFinding{Name: "Docker", Where: c.api.DaemonHost()}
	soon, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	info, err := c.api.Info(soon)
	if err != nil {
		f.Problem = formatErrorLine(c.wrapEngineError("ask the Docker engine what its machine has", err))
		return f, []api.CloudStatus{{Name: Name, Reason: f.Problem}}
	}
	has := c.capacityFromInfo(info)
	f.Version = info.ServerVersion
	f.Details = append(f.Details, fmt.Sprintf("%d CPUs, %.1f GiB of memory", has.cpus, has.memoryGiB))
	if disk := c.formatFreeDisk(info); disk != "" {
		f.Details = append(f.Details, disk)
	}
	there, err := c.hasImage(ctx, c.ImageName())
	switch {
	case err != nil:
		f.Problem = formatErrorLine(c.wrapEngineError("look for the host image", err))
	case there:
		f.Details = append(f.Details, "host image "+c.ImageName()+" is there", c.describePrivilege(ctx))
	case c.opts.Image != "":
		f.Problem = fmt.Sprintf("the host image %s (docker.image) is not known to the engine: load it there, or "+
			"leave the setting empty to have one built", c.opts.Image)
	default:
		f.Details = append(f.Details, "the host image will be built with the first host")
	}
	f.Details = append(f.Details, c.reportLeftovers(ctx)...)
	if err := c.checkNetworkName(ctx); err != nil {
		f.Problem = formatErrorLine(err)
	}
	if wrong := findEngineProblem(info.ServerVersion, info.OSType, has); wrong != "" {
		f.Problem = wrong
	}
	return f, []api.CloudStatus{{Name: Name, Enabled: f.Problem == "", Reason: f.Problem}}
}

// formatErrorLine is an error in one line.
func formatErrorLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// findEngineProblem says why an engine can't run hosts; empty where it can.
func findEngineProblem(version, system string, has engineCapacity) string {
	switch {
	case system != "" && system != "linux":
		return fmt.Sprintf("the engine runs %s containers; hosts are Linux ones", system)
	case isOlderVersion(version, oldestEngine):
		return fmt.Sprintf("the engine is %s; hosts need %s or newer", version, oldestEngine)
	case has.memoryGiB < minMemoryGiB:
		return fmt.Sprintf("its machine has %.1f GiB of memory; a node needs %d GiB", has.memoryGiB, minMemoryGiB)
	case has.freeDiskGiB > 0 && has.usableDiskGiB() < minFreeGiB:
		return fmt.Sprintf("only %.1f GiB are free where Docker keeps its data; a node takes about %d GiB, and the "+
			"kubelet evicts pods while less than %.0f%% (%.1f GiB) are free: "+
			"make room, with docker system prune for example", has.freeDiskGiB, minFreeGiB, 100*evictionThreshold,
			evictionThreshold*has.diskGiB)
	}
	return ""
}

// isOlderVersion compares the first two numbers of versions; one that does not begin with numbers is not older than
// anything.
func isOlderVersion(version, than string) bool {
	var have, want [2]int
	for i, s := range strings.SplitN(than, ".", 3)[:2] {
		want[i], _ = strconv.Atoi(s)
	}
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	for i := range have {
		n, err := strconv.Atoi(parts[i])
		if err != nil {
			return false
		}
		have[i] = n
	}
	return have[0] < want[0] || have[0] == want[0] && have[1] < want[1]
}

// formatFreeDisk is how much is free where the engine keeps its data, in words; empty where that can't be known.
func (c *Cloud) formatFreeDisk(info system.Info) string {
	var fs syscall.Statfs_t
	if !c.isEngineLocal() || syscall.Statfs(info.DockerRootDir, &fs) != nil {
		return ""
	}
	free, all := float64(fs.Bavail)*float64(fs.Bsize)/gib, float64(fs.Blocks)*float64(fs.Bsize)/gib
	return fmt.Sprintf("%.1f of %.1f GiB of disk free at %s", free, all, info.DockerRootDir)
}

// describePrivilege says how hosts run on this engine.
func (c *Cloud) describePrivilege(ctx context.Context) string {
	privileged, err := c.canRunPrivileged(ctx, c.ImageName())
	switch {
	case errors.Is(err, context.Canceled):
		return "whether hosts are privileged was not found out"
	case err != nil:
		return formatErrorLine(err)
	case privileged:
		return "hosts are privileged containers"
	}
	return "hosts get single capabilities: this machine can't give a container all privileges"
}
