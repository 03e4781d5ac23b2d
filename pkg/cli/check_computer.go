package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/computer"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
)

// listPortsOfOthers lists the ports that the settings give skyd, without those that this skyd has itself. There are
// none while it starts or stops, because it does not say yet which ones it has.
func listPortsOfOthers(cfg *config.Config) []computer.Port {
	state, err := daemon.FindRunning(cfg)
	if err != nil && !errors.Is(err, daemon.ErrNotRunning) {
		return nil
	}
	isOwn := func(p config.DevPort) bool {
		address := config.LoopbackAddress(*p.Port)
		return state.TemporalAddress == address || strings.HasSuffix(state.EtcdEndpoint, "//"+address) ||
			strings.HasSuffix(state.UIAddress, "//"+address) ||
			p.For != skyPilotServer && state.Settings[p.Key].Value == strconv.Itoa(*p.Port)
	}
	ports := cfg.Dev.ListPorts()
	if cfg.SkyPilot.Endpoint == "" {
		ports = append(ports, config.DevPort{For: skyPilotServer, Key: "skypilot.port", Port: &cfg.SkyPilot.Port})
	}
	var all []computer.Port
	for _, p := range ports {
		if isOwn(p) {
			continue
		}
		all = append(all, computer.Port{Number: *p.Port, For: p.For, Chosen: cfg.IsSet(p.Key),
			HowToSet: cfg.HowToSet(p.Key), OfSkyPilot: p.For == skyPilotServer, Running: err == nil})
	}
	return all
}

const skyPilotServer = "the SkyPilot server"

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

// checkEngineAlone reports what can be said about Docker where no worker answers, so that a person can fix everything
// at once.
func (a *app) checkEngineAlone(ctx context.Context, facts computer.Facts) api.CheckFinding {
	address := cmp.Or(a.env.Getenv("DOCKER_HOST"), computer.UsualEngine)
	facts.Engine = computer.ProbeEngine(ctx, address, facts)
	f := api.CheckFinding{Name: "Docker", Where: address, Findings: computer.FindHostProblems(facts),
		Details: []string{"only checked in part: the rest needs skyd"}}
	f.Problem = computer.FormatProblems(f.Findings)
	return f
}
