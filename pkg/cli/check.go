package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/client/connect"
	"github.com/sky-shift/skyctl/pkg/computer"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
	build "github.com/sky-shift/skyctl/pkg/version"
)

func (a *app) newCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check", Short: "Check what a cluster needs, and explain problems", Args: refuseArgs,
		Long: `Checks everything that a cluster needs: skyd, etcd, Temporal, the worker, disk, Docker, SkyPilot,
and every cloud that SkyPilot supports. For each problem it shows the cause and the fix. It checks
each cloud again, which takes a few seconds per cloud, and picks up new credentials.

Before your first cluster on the Docker of this computer, run skyctl check --cloud docker: it names
all that would go wrong at once, each with its fix: the engine, memory, CPUs, disk, cgroups, kernel,
networks, firewall, proxy, clock, ports. docs/troubleshooting.md explains each finding. A create
refuses a computer that has a problem; a warning names what may go wrong, and refuses nothing.

With --cluster it looks at the machines of that cluster instead, as skyctl does before it makes them
nodes: their system, size, disks, clocks, kernel, firewalls, and whether they reach each other. It
changes nothing.

It exits with 0 if you can create a cluster on at least one cloud (with --cloud: on that one), with 1
if on none, and with 5 if skyd, etcd, Temporal or the worker cannot be reached. With --cluster it
exits with 1 if a machine has a problem or does not answer; warnings do not count.`,
		Example: `  skyctl check
  skyctl check -o wide   # every reason in full
  skyctl check --cloud docker
  skyctl check -o json
  skyctl check --cluster train`,
	}
	cluster, cloud := "", ""
	a.bindClusterFlag(cmd, &cluster, "check the machines of this cluster")
	cmd.Flags().StringVar(&cloud, "cloud", "", "check only this cloud, such as docker")
	registerCompletion(cmd, "cloud", completeValues("cloud", api.Clouds))
	output := addOutputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed("cluster") && cmd.Flags().Changed("cloud") {
			return usageErrorf("--cluster checks machines, --cloud a cloud: use one of them")
		}
		if cmd.Flags().Changed("cluster") {
			return a.checkMachines(cmd.Context(), cluster, output)
		}
		r, problem := a.collectCheckReport(cmd.Context(), cloud, output.isStructured())
		if cmd.Context().Err() != nil {
			return cmd.Context().Err()
		}
		var wrong *usageError
		if errors.As(problem, &wrong) {
			return problem
		}
		if output.isStructured() {
			if err := output.write(a.env.Out, r); err != nil {
				return err
			}
		} else if err := terminal.WritePage(a.env.Out, r.RenderPage(output.form() == render.AsWide)); err != nil {
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

// collectCheckReport checks everything, or one cloud and what it needs. Its error is the first problem that stops
// further checks. The findings of this computer are there whatever else fails.
func (a *app) collectCheckReport(ctx context.Context, cloud string, quiet bool) (render.CheckReport, error) {
	r := render.CheckReport{Cloud: cloud, Parts: []api.CheckFinding{{Name: "skyctl",
		Version: build.ReadBuild().Version}},
		Clouds: []api.CloudStatus{}}
	cfg, err := a.loadSettingsWithNotes()
	if err != nil {
		return r, err
	}
	ops, err := a.connectClient(ctx)
	var facts computer.Facts
	if !cfg.IsExternal() {
		facts = computer.GatherFacts(ctx, computer.Options{Env: a.env.Getenv, StateDir: cfg.Dir,
			Ports: listPortsOfOthers(cfg)})
		r.Parts = append(r.Parts, checkSkyd(cfg, facts, err), checkComputer(cfg, facts))
	}
	if err == nil {
		err = a.checkClouds(ctx, ops, &r, quiet)
	}
	if cfg.Gateway.Address != "" {
		r.Parts = append(r.Parts, checkGateway(ctx, cfg))
	}
	if err != nil && !cfg.IsExternal() && (cloud == "" || cloud == "docker") {
		r.Parts = append(r.Parts, a.checkEngineAlone(ctx, facts)) // no worker has asked the engine
	}
	return r, err
}

// checkClouds checks the servers, and has the worker check the clouds.
func (a *app) checkClouds(ctx context.Context, ops *client.Client, r *render.CheckReport, quiet bool) error {
	found, err := checkServers(ctx, ops)
	r.Parts = append(r.Parts, found...)
	var none *client.NoWorkerError
	if err != nil && !errors.As(err, &none) { // a worker that was just started may not poll yet
		return err
	}
	s := terminal.StartSpinner(a.env.Err, "Checking "+cmp.Or(r.Cloud, "every cloud"), quiet || a.quiet)
	clouds, err := ops.CheckClouds(ctx, r.Cloud)
	s.ClearLine()
	worker := &r.Parts[len(r.Parts)-1]
	if err != nil {
		worker.Problem = err.Error()
		return err
	}
	worker.Problem = ""
	worker.Version, worker.Where = clouds.Worker.Version, clouds.Worker.Where
	if own := r.Parts[0].Version; worker.Version != own {
		worker.Details = append(worker.Details,
			fmt.Sprintf("its version differs from this skyctl (%s): install the same version of both if you see "+
				"problems", own))
	}
	r.Parts = append(r.Parts, clouds.Providers...)
	for _, c := range clouds.Clouds {
		if r.Cloud == "" || c.Name == r.Cloud { // older workers check them all
			r.Clouds = append(r.Clouds, c)
		}
	}
	r.OK = !r.HasBrokenRequirement() && r.CountEnabledClouds() > 0
	return nil
}

// checkGateway reports whether the gateway to machines answers.
func checkGateway(ctx context.Context, cfg *config.Config) api.CheckFinding {
	f := api.CheckFinding{Name: render.PartGateway, Where: cfg.Gateway.Address}
	client, err := connect.NewGatewayClient(cfg)
	if err == nil {
		f.Version, err = client.ReadVersion(ctx)
	}
	if err != nil {
		f.Problem = err.Error()
	}
	return f
}

// checkSkyd reports on the server on this computer; err is why it could not be started.
func checkSkyd(cfg *config.Config, facts computer.Facts, err error) api.CheckFinding {
	f := api.CheckFinding{Name: "skyd"}
	if err != nil {
		f.Problem = err.Error()
		return f
	}
	if state, err := daemon.FindRunning(cfg); err == nil {
		f.Version, f.Where = state.Version, fmt.Sprintf("process %d, Web UI %s", state.PID, state.UIAddress)
		f.Details = computer.DescribeReplacedPorts(facts)
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
