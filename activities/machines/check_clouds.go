package machines

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/version"
)

// checkTimeout bounds the check of all providers. SkyPilot may have to start its server, and queries every cloud.
const checkTimeout = 90 * time.Second

// Check checks this worker and the providers of machines, all at the same time, or only the provider of one cloud.
// Problems are part of the result.
func (a *Activities) Check(ctx context.Context, in operation.CheckInput) (operation.CheckResult, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	type answer struct {
		finding api.CheckFinding
		clouds  []api.CloudStatus
	}
	checkers := listCheckers(a.Clouds, in.Cloud)
	answers := make([]answer, len(checkers))
	var group sync.WaitGroup
	for i, c := range checkers {
		group.Go(func() { answers[i].finding, answers[i].clouds = c.InspectProvider(ctx) })
	}
	group.Wait()
	r := operation.CheckResult{Worker: describeWorker(), Providers: []api.CheckFinding{}, Clouds: []api.CloudStatus{}}
	for _, found := range answers {
		r.Providers = append(r.Providers, redactFinding(found.finding))
		for _, c := range found.clouds {
			c.Reason = redact.Text(c.Reason)
			if in.Cloud == "" || c.Name == in.Cloud {
				r.Clouds = append(r.Clouds, c)
			}
		}
	}
	if in.Cloud != "" && len(r.Clouds) == 0 {
		r.Clouds = append(r.Clouds, api.CloudStatus{Name: in.Cloud,
			Reason: "no provider of this worker knows this cloud, " +
				"or its provider does not work: skyctl check lists all"})
	}
	return r, nil
}

// redactFinding hides secrets in a finding: it quotes the output of clouds and their tools.
func redactFinding(f api.CheckFinding) api.CheckFinding {
	f.Problem, f.Details = redact.Text(f.Problem), slices.Clone(f.Details)
	for i := range f.Details {
		f.Details[i] = redact.Text(f.Details[i])
	}
	f.Findings = slices.Clone(f.Findings)
	for i := range f.Findings {
		f.Findings[i].Message, f.Findings[i].Fix = redact.Text(f.Findings[i].Message), redact.Text(f.Findings[i].Fix)
	}
	return f
}

// listCheckers returns the clouds that can report their state, those with a name first, or the one that knows a cloud.
func listCheckers(c activities.Clouds, name string) []cloud.Checker {
	var all []cloud.Checker
	if named, ok := c.Named[name]; ok {
		c = activities.Clouds{Others: named}
	} else if name != "" {
		c.Named = nil
	}
	for _, name := range slices.Sorted(maps.Keys(c.Named)) {
		if k, ok := c.Named[name].(cloud.Checker); ok {
			all = append(all, k)
		}
	}
	if k, ok := c.Others.(cloud.Checker); ok {
		all = append(all, k)
	}
	return all
}

// newWorkerInfo returns what a client that plans with this worker has to know about it.
func (a *Activities) newWorkerInfo() *operation.WorkerInfo {
	w := describeWorker()
	return &operation.WorkerInfo{Where: w.Where, Version: w.Version, Level: api.WorkerLevel, Settings: a.Settings}
}

func describeWorker() api.CheckFinding {
	f := api.CheckFinding{Name: "worker", Version: version.ReadBuild().Version}
	if host, err := os.Hostname(); err == nil {
		f.Where = fmt.Sprintf("process %d on %s", os.Getpid(), host)
	}
	return f
}
