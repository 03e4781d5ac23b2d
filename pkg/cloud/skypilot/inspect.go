package skypilot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/client"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/venv"
)

var _ cloud.Checker = (*Cloud)(nil)

// InspectProvider has the server check every cloud again. It starts a local server that does not run.
func (c *Cloud) InspectProvider(ctx context.Context) (api.CheckFinding, []api.CloudStatus) {
	f := api.CheckFinding{Name: "SkyPilot", Where: c.client.Endpoint}
	if c.server != nil {
		f.Details = append(f.Details, "local server in "+c.opts.Dir)
	} else {
		f.Details = append(f.Details, "remote server")
	}
	if err := c.ensureServerReady(ctx); err != nil {
		f.Problem = formatErrorLine(err)
		return f, nil
	}
	var h client.Health
	if _, err := c.client.Call(ctx, "/api/health", nil, &h); err == nil {
		f.Version = h.Version
		if h.APIVersion != "" {
			f.Details = append(f.Details, fmt.Sprintf("API version %s; skyctl uses %d", h.APIVersion,
				client.APIVersion))
		}
	}
	switch lean, err := c.HasLeanPlugin(ctx); {
	case err != nil:
		f.Details = append(f.Details, "whether machines are lean is unknown: "+formatErrorLine(err))
	case lean:
		f.Details = append(f.Details, "lean machines, without SkyPilot's runtime")
	default:
		f.Details = append(f.Details, "machines with SkyPilot's runtime")
	}
	found, err := c.CheckCloudAccess(ctx, "")
	if err != nil {
		f.Problem = formatErrorLine(err)
		return f, nil
	}
	for name, why := range found {
		found[name] = c.explainDisabledCloud(name, why)
	}
	return f, toCloudStatuses(found)
}

// missingLibraryWords are words by which SkyPilot reports that the libraries of a cloud are missing. It then recommends
// installing them into the user's own Python.
var missingLibraryWords = []string{"not installed", "import dependencies", "No module named", "dependencies_installed"}

// explainDisabledCloud returns why a cloud is not enabled and, for a local server, what to do about it.
func (c *Cloud) explainDisabledCloud(name, why string) string {
	if c.server == nil || !slices.ContainsFunc(missingLibraryWords,
		func(words string) bool { return strings.Contains(why, words) }) {
		return why
	}
	if venv.CanInstallLibraries(name) {
		return fmt.Sprintf("its libraries are not installed: run skyd install-skypilot %s, which adds them", name)
	}
	return fmt.Sprintf("its libraries are not installed, and skyd install-skypilot has none for it: set "+
		"skypilot.python to a Python that has skypilot[%s]", name)
}

// toCloudStatuses converts the result of a check for the clouds that a spec may name, enabled clouds first.
func toCloudStatuses(found map[string]string) []api.CloudStatus {
	var all []api.CloudStatus
	for _, name := range CloudNames {
		why, looked := found[name]
		if !looked {
			continue
		}
		all = append(all, api.CloudStatus{Name: name, Enabled: why == "", Reason: why})
	}
	slices.SortStableFunc(all, func(a, b api.CloudStatus) int {
		switch {
		case a.Enabled == b.Enabled:
			return strings.Compare(a.Name, b.Name)
		case a.Enabled:
			return -1
		}
		return 1
	})
	return all
}

func formatErrorLine(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time: " + strings.Join(strings.Fields(err.Error()), " ")
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
