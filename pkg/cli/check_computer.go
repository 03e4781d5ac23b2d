package cli

import (
	"cmp"
	"context"
	"fmt"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/computer"
	"github.com/sky-shift/skyctl/pkg/config"
)

// checkComputer reports on this computer as that of skyd.
func checkComputer(cfg *config.Config, facts computer.Facts) api.CheckFinding {
	f := api.CheckFinding{Name: "computer", Where: cfg.Dir, Findings: computer.FindServerProblems(facts)}
	if s := facts.State.Space; s.Total > 0 {
		const gib = 1 << 30
		f.Details = append(f.Details, fmt.Sprintf("%.1f of %.1f GiB free", float64(s.Free)/gib, float64(s.Total)/gib))
	}
	f.Problem = computer.FormatProblems(f.Findings)
	return f
}

// checkEngineAlone reports what can be said about Docker where skyd does not run, so that a person can fix everything
// at once.
func (a *app) checkEngineAlone(ctx context.Context, facts computer.Facts) api.CheckFinding {
	address := cmp.Or(a.env.Getenv("DOCKER_HOST"), computer.UsualEngine)
	facts.Engine = computer.ProbeEngine(ctx, address, facts)
	f := api.CheckFinding{Name: "Docker", Where: address, Findings: computer.FindHostProblems(facts),
		Details: []string{"only checked in part, because skyd does not run"}}
	f.Problem = computer.FormatProblems(f.Findings)
	return f
}
