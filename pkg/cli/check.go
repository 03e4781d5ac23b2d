package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/daemon"
	"github.com/sky-shift/skyctl/pkg/disk"
	"github.com/sky-shift/skyctl/pkg/operations"
	build "github.com/sky-shift/skyctl/pkg/version"
)

// checkReport is everything that has to work for a cluster, and whether it does.
type checkReport struct {
	// OK: a cluster can be created on at least one cloud.
	OK bool `json:"ok"`
	// Parts are skyctl itself, the servers, and what gives machines.
	Parts  []api.Finding     `json:"parts"`
	Clouds []api.CloudStatus `json:"clouds"`
}

func (a *app) checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check", Short: "Say what works, what does not, and why", Args: noArgs,
		Long: `Looks at everything that a cluster needs, and says of each thing that does not work why not and
what to do: skyd, etcd, Temporal, the worker, disk, Docker, SkyPilot, and every cloud that
SkyPilot knows. Clouds are looked at anew, which takes some seconds each; credentials that were put
in place since the last look are found.

It ends with 0 where a cluster can be created on at least one cloud, with 1 where on none, and
with 5 where skyd, etcd, Temporal or a worker can't be reached.`,
		Example: "  skyctl check\n  skyctl check -o wide   # every reason in full\n  skyctl check -o json",
	}
	output := outputFlag(cmd, asTable, asWide, asJSON, asYAML)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		r, problem := a.check(cmd.Context(), output.forMachines())
		if cmd.Context().Err() != nil {
			return cmd.Context().Err()
		}
		var wrong *usageError
		if errors.As(problem, &wrong) {
			return problem
		}
		if output.forMachines() {
			if err := encode(a.env.Out, output.value, r); err != nil {
				return err
			}
		} else if _, err := fmt.Fprint(a.env.Out, r.text(output.value == asWide)); err != nil {
			return err
		}
		switch {
		case problem != nil:
			return &shownError{problem} // it stands on the page
		case !r.OK:
			return &shownError{errors.New("no cloud can be used")}
		}
		return nil
	}
	return cmd
}

// check looks at everything. Its error is what keeps it from looking further.
func (a *app) check(ctx context.Context, quiet bool) (checkReport, error) {
	r := checkReport{Parts: []api.Finding{{Name: "skyctl", Version: build.Get().Version}}, Clouds: []api.CloudStatus{}}
	cfg, err := a.settings()
	if err != nil {
		return r, err
	}
	ops, err := a.connect(ctx)
	if !cfg.External() {
		r.Parts = append(r.Parts, skydFinding(cfg, err), diskFinding(cfg.Dir))
	}
	if err != nil {
		return r, err
	}
	found, err := serverFindings(ctx, ops)
	r.Parts = append(r.Parts, found...)
	var none *operations.NoWorkerError
	if err != nil && !errors.As(err, &none) { // one that has just been started may not listen yet
		return r, err
	}
	s := startStatus(a.env.Err, "Looking at every cloud", quiet)
	clouds, err := ops.Check(ctx)
	s.clear()
	worker := &r.Parts[len(r.Parts)-1]
	if err != nil {
		worker.Problem = err.Error()
		return r, err
	}
	worker.Problem = ""
	worker.Version, worker.Where = clouds.Worker.Version, clouds.Worker.Where
	if own := r.Parts[0].Version; worker.Version != own {
		worker.Details = append(worker.Details, fmt.Sprintf("another version than this skyctl (%s): have both of the same where something is odd", own))
	}
	r.Parts = append(r.Parts, clouds.Providers...)
	r.Clouds = append(r.Clouds, clouds.Clouds...)
	r.OK = !r.broken() && r.enabled() > 0
	return r, nil
}

// skydFinding is the server on this machine; its error is why it could not be started.
func skydFinding(cfg *config.Config, err error) api.Finding {
	f := api.Finding{Name: "skyd"}
	if err != nil {
		f.Problem = err.Error()
		return f
	}
	if state, err := daemon.Status(cfg); err == nil {
		f.Version, f.Where = state.Version, fmt.Sprintf("process %d, Web UI %s", state.PID, state.UIAddress)
	}
	return f
}

// serverFindings are etcd, Temporal and, last, the worker; its error is the first of them that does not answer.
func serverFindings(ctx context.Context, ops *operations.Client) ([]api.Finding, error) {
	parts := ops.Health(ctx)
	versions := ops.Versions(ctx)
	var all []api.Finding
	var first error
	for _, p := range parts {
		if p.Err != nil && first == nil {
			first = p.Err
		}
		all = append(all, api.Finding{Name: p.Name, Where: p.Where, Version: versions[p.Name], Problem: p.Problem()})
	}
	return all, first
}

// leastFreeGiB is what the server's data needs to grow: etcd's and Temporal's, RKE2 releases are elsewhere.
const leastFreeGiB = 1

// diskFinding is the disk that a directory is on.
func diskFinding(dir string) api.Finding {
	f := api.Finding{Name: "disk", Where: dir}
	space, err := disk.Look(dir)
	if err != nil {
		f.Problem = err.Error()
		return f
	}
	const gib = 1 << 30
	free, all := float64(space.Free)/gib, float64(space.Total)/gib
	f.Details = append(f.Details, fmt.Sprintf("%.1f of %.1f GiB free", free, all))
	if free < leastFreeGiB {
		f.Problem = fmt.Sprintf("only %.1f GiB are free: etcd and Temporal stop where it is full; make room", free)
	}
	return f
}

const skyPilot = "SkyPilot"

// giving are the parts that give machines: one of them that does not work takes only its own clouds away.
var giving = map[string]bool{"Docker": true, skyPilot: true}

// broken says whether something does not work that every cloud needs.
func (r checkReport) broken() bool {
	for _, p := range r.Parts {
		if p.Problem != "" && !giving[p.Name] {
			return true
		}
	}
	return false
}

func (r checkReport) enabled() int {
	n := 0
	for _, c := range r.Clouds {
		if c.Enabled {
			n++
		}
	}
	return n
}
