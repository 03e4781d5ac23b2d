package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker/engine"
	"github.com/sky-shift/skyctl/pkg/computer"
)

var _ cloud.Checker = (*Cloud)(nil)

// InspectProvider describes the engine and its computer, and what keeps hosts from running there.
func (c *Cloud) InspectProvider(ctx context.Context) (api.CheckFinding, []api.CloudStatus) {
	f := api.CheckFinding{Name: "Docker", Where: c.engine.Address()}
	facts, found, err := c.findComputerProblems(ctx)
	f.Findings = found
	switch {
	case facts.Engine.State == computer.EngineAnswers:
		c.describeProvider(ctx, &f, facts.Engine)
	case len(found) == 0:
		f.Problem = formatErrorLine(err)
	}
	if problems := computer.FormatProblems(found); problems != "" {
		f.Problem = problems
	}
	return f, []api.CloudStatus{{Name: Name, Enabled: f.Problem == "", Reason: f.Problem}}
}

// describeProvider describes an engine that answers, and what cloud docker needs there beside it.
func (c *Cloud) describeProvider(ctx context.Context, f *api.CheckFinding, e computer.Engine) {
	f.Version = e.Version
	f.Details = append(f.Details, fmt.Sprintf(
		"%d CPUs, %.1f GiB of memory; a create without flags uses %d CPUs, %d GiB", e.CPUs, e.MemoryGiB,
		api.DefaultNumNodes*defaultCPUs, api.DefaultNumNodes*defaultMemoryGiB))
	if e.Space.Total > 0 {
		f.Details = append(f.Details, fmt.Sprintf("%.1f of %.1f GiB of disk free at %s",
			float64(e.Space.Free)/engine.GiB, float64(e.Space.Total)/engine.GiB, e.RootDir))
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
}

// formatErrorLine formats an error as one line.
func formatErrorLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

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
	return "hosts get single capabilities, because privileged containers do not start"
}
