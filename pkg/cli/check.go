package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/diskspace"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
	build "github.com/sky-shift/skyctl/pkg/version"
)

func (a *app) newCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check", Short: "Check what a cluster needs, and explain problems", Args: refuseArgs,
		Long: `Checks everything that a cluster needs: skyd, etcd, Temporal, the worker, disk, Docker, SkyPilot,
and every cloud that SkyPilot supports. For each problem it shows the cause and the fix. It checks
each cloud again, which takes a few seconds per cloud, and picks up new credentials.

It exits with 0 if you can create a cluster on at least one cloud, with 1 if on none, and with 5
if skyd, etcd, Temporal or the worker cannot be reached.`,
		Example: "  skyctl check\n  skyctl check -o wide   # every reason in full\n  skyctl check -o json",
	}
	output := addOutputFlag(cmd, render.AsTable, render.AsWide, render.AsJSON, render.AsYAML)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		r, problem := a.collectCheckReport(cmd.Context(), output.isStructured())
		if cmd.Context().Err() != nil {
			return cmd.Context().Err()
		}
		var wrong *usageError
		if errors.As(problem, &wrong) {
			return problem
		}
		if output.isStructured() {
			if err := render.WriteStructured(a.env.Out, output.form(), r); err != nil {
				return err
			}
		} else if _, err := fmt.Fprint(a.env.Out, r.RenderPage(output.form() == render.AsWide)); err != nil {
			return err
		}
		switch {
		case problem != nil:
			return &reportedError{problem} // the page shows it
		case !r.OK:
			return &reportedError{errors.New("no cloud is enabled")}
		}
		return nil
	}
	return cmd
}

// collectCheckReport checks everything. Its error is the first problem that stops further checks.
func (a *app) collectCheckReport(ctx context.Context, quiet bool) (render.CheckReport, error) {
	r := render.CheckReport{Parts: []api.CheckFinding{{Name: "skyctl", Version: build.ReadBuild().Version}},
		Clouds: []api.CloudStatus{}}
	cfg, err := a.loadSettingsWithNotes()
	if err != nil {
		return r, err
	}
	ops, err := a.connectClient(ctx)
	if !cfg.IsExternal() {
		r.Parts = append(r.Parts, checkSkyd(cfg, err), checkDiskSpace(cfg.Dir))
	}
	if err != nil {
		return r, err
	}
	found, err := checkServers(ctx, ops)
	r.Parts = append(r.Parts, found...)
	var none *client.NoWorkerError
	if err != nil && !errors.As(err, &none) { // a worker that was just started may not poll yet
		return r, err
	}
	s := terminal.StartSpinner(a.env.Err, "Checking every cloud", quiet)
	clouds, err := ops.CheckClouds(ctx)
	s.ClearLine()
	worker := &r.Parts[len(r.Parts)-1]
	if err != nil {
		worker.Problem = err.Error()
		return r, err
	}
	worker.Problem = ""
	worker.Version, worker.Where = clouds.Worker.Version, clouds.Worker.Where
	if own := r.Parts[0].Version; worker.Version != own {
		worker.Details = append(worker.Details,
			fmt.Sprintf("its version differs from this skyctl (%s): install the same version of both if you see "+
				"problems", own))
	}
	r.Parts = append(r.Parts, clouds.Providers...)
	r.Clouds = append(r.Clouds, clouds.Clouds...)
	r.OK = !r.HasBrokenRequirement() && r.CountEnabledClouds() > 0
	return r, nil
}

// checkSkyd reports on the server on this computer; err is why it could not be started.
func checkSkyd(cfg *config.Config, err error) api.CheckFinding {
	f := api.CheckFinding{Name: "skyd"}
	if err != nil {
		f.Problem = err.Error()
		return f
	}
	if state, err := daemon.FindRunning(cfg); err == nil {
		f.Version, f.Where = state.Version, fmt.Sprintf("process %d, Web UI %s", state.PID, state.UIAddress)
	}
	return f
}

// checkServers checks etcd, Temporal and the worker, in this order. Its error is that of the first that does not
// answer.
func checkServers(ctx context.Context, ops *client.Client) ([]api.CheckFinding, error) {
	parts := ops.CheckHealth(ctx)
	versions := ops.ReadServerVersions(ctx)
	var all []api.CheckFinding
	var first error
	for _, p := range parts {
		if p.Err != nil && first == nil {
			first = p.Err
		}
		all = append(all, api.CheckFinding{Name: p.Name, Where: p.Where, Version: versions[p.Name],
			Problem: p.ProblemText()})
	}
	return all, first
}

// minFreeGiB is the free space that the data of etcd and Temporal need to grow.
const minFreeGiB = 1

// checkDiskSpace reports on the disk of a directory.
func checkDiskSpace(dir string) api.CheckFinding {
	f := api.CheckFinding{Name: "disk", Where: dir}
	space, err := diskspace.ReadSpace(dir)
	if err != nil {
		f.Problem = err.Error()
		return f
	}
	const gib = 1 << 30
	free, all := float64(space.Free)/gib, float64(space.Total)/gib
	f.Details = append(f.Details, fmt.Sprintf("%.1f of %.1f GiB free", free, all))
	if free < minFreeGiB {
		f.Problem = fmt.Sprintf("only %.1f GiB free: etcd and Temporal stop if the disk is full; free some space", free)
	}
	return f
}
