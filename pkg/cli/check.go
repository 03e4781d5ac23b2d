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
		Use: "check", Short: "Say what works, what does not, and why", Args: refuseArgs,
		Long: `Looks at everything that a cluster needs, and says of each thing that does not work why not and
what to do: skyd, etcd, Temporal, the worker, disk, Docker, SkyPilot, and every cloud that
SkyPilot knows. Clouds are looked at anew, which takes some seconds each; credentials that were put
in place since the last look are found.

It ends with 0 where a cluster can be created on at least one cloud, with 1 where on none, and
with 5 where skyd, etcd, Temporal or a worker can't be reached.`,
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
			return &reportedError{problem} // it stands on the page
		case !r.OK:
			return &reportedError{errors.New("no cloud can be used")}
		}
		return nil
	}
	return cmd
}

// collectCheckReport looks at everything. Its error is what keeps it from looking further.
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
	if err != nil && !errors.As(err, &none) { // one that has just been started may not listen yet
		return r, err
	}
	s := terminal.StartSpinner(a.env.Err, "Looking at every cloud", quiet)
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
			fmt.Sprintf("another version than this skyctl (%s): have both of the same where something is odd", own))
	}
	r.Parts = append(r.Parts, clouds.Providers...)
	r.Clouds = append(r.Clouds, clouds.Clouds...)
	r.OK = !r.HasBrokenRequirement() && r.CountEnabledClouds() > 0
	return r, nil
}

// checkSkyd is the server on this machine; its error is why it could not be started.
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

// checkServers are etcd, Temporal and, last, the worker; its error is the first of them that does not answer.
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

// minFreeGiB is what the server's data needs to grow: etcd's and Temporal's, RKE2 releases are elsewhere.
const minFreeGiB = 1

// checkDiskSpace is the disk that a directory is on.
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
		f.Problem = fmt.Sprintf("only %.1f GiB are free: etcd and Temporal stop where it is full; make room", free)
	}
	return f
}
