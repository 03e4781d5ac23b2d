package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/docker/docker/api/types/system"
	utilversion "k8s.io/apimachinery/pkg/util/version"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker/engine"
)

var _ cloud.Checker = (*Cloud)(nil)

const (
	// oldestEngine is the first version that runs a container with a cgroup namespace of its own, which systemd needs.
	oldestEngine = "20.10"
	// minFreeGiB is the disk space for one host of a cluster: its image, RKE2 and what RKE2 unpacks.
	minFreeGiB = 5
)

// InspectProvider describes the engine and its computer, and what keeps hosts from running there.
func (c *Cloud) InspectProvider(ctx context.Context) (api.CheckFinding, []api.CloudStatus) {
	f := api.CheckFinding{Name: "Docker", Where: c.engine.Address()}
	soon, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	info, err := c.engine.API.Info(soon)
	if err != nil {
		f.Problem = formatErrorLine(c.engine.WrapError("ask the Docker engine what its machine has", err))
		return f, []api.CloudStatus{{Name: Name, Reason: f.Problem}}
	}
	has := c.capacityFromInfo(info)
	f.Version = info.ServerVersion
	f.Details = append(f.Details, fmt.Sprintf("%d CPUs, %.1f GiB of memory", has.cpus, has.memoryGiB))
	if disk := c.formatFreeDisk(info); disk != "" {
		f.Details = append(f.Details, disk)
	}
	there, err := c.image.IsPresent(ctx)
	switch {
	case err != nil:
		f.Problem = formatErrorLine(c.engine.WrapError("look for the host image", err))
	case there:
		f.Details = append(f.Details, "host image "+c.ImageName()+" is present", c.describePrivilege(ctx))
	case c.opts.Image != "":
		f.Problem = fmt.Sprintf("the engine does not have the host image %s (docker.image): load it there, or "+
			"leave the setting empty to have one built", c.opts.Image)
	default:
		f.Details = append(f.Details, "the host image will be built with the first host")
	}
	f.Details = append(f.Details, c.reportLeftovers(ctx)...)
	if err := c.network.CheckName(ctx); err != nil {
		f.Problem = formatErrorLine(err)
	}
	if wrong := findEngineProblem(info.ServerVersion, info.OSType, has); wrong != "" {
		f.Problem = wrong
	}
	return f, []api.CloudStatus{{Name: Name, Enabled: f.Problem == "", Reason: f.Problem}}
}

// formatErrorLine formats an error as one line.
func formatErrorLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// findEngineProblem returns why an engine cannot run hosts, or empty if it can.
func findEngineProblem(version, system string, has engineCapacity) string {
	switch {
	case system != "" && system != "linux":
		return fmt.Sprintf("the engine runs %s containers; hosts need Linux containers", system)
	case isOlderVersion(version, oldestEngine):
		return fmt.Sprintf("the engine is %s; hosts need %s or newer", version, oldestEngine)
	case has.memoryGiB < minMemoryGiB:
		return fmt.Sprintf("its machine has %.1f GiB of memory; a node needs %d GiB", has.memoryGiB, minMemoryGiB)
	case has.freeDiskGiB > 0 && has.usableDiskGiB() < minFreeGiB:
		return fmt.Sprintf("only %.1f GiB are free where Docker keeps its data; a node needs about %d GiB, and the "+
			"kubelet evicts pods while less than %.0f%% (%.1f GiB) are free: "+
			"free some disk space, for example with docker system prune", has.freeDiskGiB, minFreeGiB,
			100*evictionThreshold,
			evictionThreshold*has.diskGiB)
	}
	return ""
}

// isOlderVersion compares the major and minor numbers of two versions of Docker. Its versions are not semantic ones:
// 18.09.1 has a leading zero. A version that cannot be parsed does not count as older.
func isOlderVersion(version, than string) bool {
	v, err := utilversion.ParseMajorMinor(version)
	return err == nil && v.LessThan(utilversion.MustParseMajorMinor(than))
}

// formatFreeDisk describes the free space where the engine keeps its data, or is empty if that is unknown.
func (c *Cloud) formatFreeDisk(info system.Info) string {
	var fs syscall.Statfs_t
	if !c.engine.IsLocal() || syscall.Statfs(info.DockerRootDir, &fs) != nil {
		return ""
	}
	free, all := float64(fs.Bavail)*float64(fs.Bsize)/engine.GiB, float64(fs.Blocks)*float64(fs.Bsize)/engine.GiB
	return fmt.Sprintf("%.1f of %.1f GiB of disk free at %s", free, all, info.DockerRootDir)
}

// describePrivilege describes how hosts run on this engine.
func (c *Cloud) describePrivilege(ctx context.Context) string {
	privileged, err := c.canRunPrivileged(ctx, c.ImageName())
	switch {
	case errors.Is(err, context.Canceled):
		return "whether hosts are privileged is unknown"
	case err != nil:
		return formatErrorLine(err)
	case privileged:
		return "hosts are privileged containers"
	}
	return "hosts get single capabilities: this machine cannot give a container all privileges"
}
