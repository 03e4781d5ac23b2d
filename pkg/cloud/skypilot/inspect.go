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

// InspectProvider has the server look anew at every cloud. A local server is started where it is absent.
func (c *Cloud) InspectProvider(ctx context.Context) (api.CheckFinding, []api.CloudStatus) {
	f := api.CheckFinding{Name: "SkyPilot", Where: c.client.Endpoint}
	if c.server != nil {
		f.Details = append(f.Details, "a local server, in "+c.opts.Dir)
	} else {
		f.Details = append(f.Details, "a remote server")
	}
	if err := c.ensureServerReady(ctx); err != nil {
		f.Problem = formatErrorLine(err)
		return f, nil
	}
	var h client.Health
	if _, err := c.client.Call(ctx, "/api/health", nil, &h); err == nil {
		f.Version = h.Version
		if h.APIVersion != "" {
			f.Details = append(f.Details, fmt.Sprintf("API version %s; skyctl speaks %d", h.APIVersion,
				client.APIVersion))
		}
	}
	switch lean, err := c.HasLeanPlugin(ctx); {
	case err != nil:
		f.Details = append(f.Details, "whether machines are lean was not found out: "+formatErrorLine(err))
	case lean:
		f.Details = append(f.Details, "lean machines: SkyPilot's runtime is left out")
	default:
		f.Details = append(f.Details, "machines carry SkyPilot's runtime")
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

// missingLibraryWords are words by which SkyPilot tells that the libraries of a cloud are not there. What it advises
// then would go into a person's own Python.
var missingLibraryWords = []string{"not installed", "import dependencies", "No module named", "dependencies_installed"}

// explainDisabledCloud is why a cloud is not enabled, with what to do about it here; a remote server is its owner's to
// change.
func (c *Cloud) explainDisabledCloud(name, why string) string {
	if c.server == nil || !slices.ContainsFunc(missingLibraryWords,
		func(words string) bool { return strings.Contains(why, words) }) {
		return why
	}
	if venv.CanInstallLibraries(name) {
		return fmt.Sprintf("its libraries are not installed: run make skypilot CLOUDS=%s, which adds them", name)
	}
	return fmt.Sprintf("its libraries are not installed, and make skypilot has none for it: set skypilot.python to "+
		"a Python that has skypilot[%s]", name)
}

// toCloudStatuses are the clouds of a check that a spec may name, those that are enabled first.
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
