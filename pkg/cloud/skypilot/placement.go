package skypilot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/bridge"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/client"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/failure"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/logtext"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/task"
)

// ValidateSpec checks a spec against the enabled clouds and what they offer.
func (c *Cloud) ValidateSpec(ctx context.Context, spec api.GroupSpec) error {
	_, err := c.RankPlacements(ctx, spec, api.Neighbors{})
	return err
}

// RankPlacements ranks the placements for the machines of a spec as SkyPilot's optimizer does, the cheapest first. All
// machines of a placement have the same instance type and region, and the same zone if prices or the network differ
// between zones. Machines that join a cluster cannot go to another region, so larger instance types follow for them.
func (c *Cloud) RankPlacements(ctx context.Context, spec api.GroupSpec,
	beside api.Neighbors) ([]api.Placement, error) {
	if err := c.checkCloudName(spec); err != nil {
		return nil, err
	}
	clouds, err := c.candidateClouds(ctx, spec)
	if err == nil {
		clouds, err = filterCloudsBySSHUser(spec, clouds)
	}
	if err != nil {
		return nil, err
	}
	nodes := max(1, spec.NumNodes)
	connected := nodes + beside.Machines
	if c.server == nil {
		connected = 1 // a remote server's configuration of shared networks is unknown here
	}
	ranking, err := c.bridge.RankPlacements(ctx, bridge.RankingQuestion{Clouds: clouds,
		Resources: task.ResourcesFromSpec(spec), Nodes: connected, Larger: spec.Region != "" && beside.Machines > 0})
	if err != nil {
		if failed, ok := bridge.AsError(err); ok {
			kind, why := failure.Classify(&client.FailedRequest{Type: "", Message: failed.Message}, nil)
			return nil, &cloud.Error{Kind: kind, Message: "rank the placements for the machines: " + why}
		}
		return nil, err
	}
	if p := ranking.Problem; p != nil {
		return nil, newProblemError(p.Field, p.Want, spec, beside)
	}
	return filterPlacementsByAccess(spec, toPlacements(ranking, nodes))
}

// newProblemError returns the error for a field that no placement satisfies. People give the number of machines that
// join a pool as its replicas.
func newProblemError(field, want string, spec api.GroupSpec, beside api.Neighbors) error {
	want = strings.Join(strings.Fields(want), " ")
	if field == "num_nodes" && beside.Machines > 0 {
		return newFieldError("replicas", strconv.Itoa(beside.InPool+spec.NumNodes), want)
	}
	value := ""
	if f, ok := api.FindField(field); ok {
		value = f.Text(spec)
	}
	return newFieldError(field, value, want)
}

// checkCloudName checks a cloud's name without SkyPilot, if it is not installed, so that a typo does not lead to the
// advice to install it.
func (c *Cloud) checkCloudName(spec api.GroupSpec) error {
	if c.opts.Endpoint == "" && c.env.CheckInstalled() != nil {
		switch {
		case spec.Cloud == "":
			return newFieldError("cloud", "",
				"docker, which is this computer; for any other cloud install SkyPilot first: "+
					"skyd install-skypilot")
		case !isKnownCloud(spec.Cloud):
			return newFieldError("cloud", spec.Cloud, "docker, or a cloud that SkyPilot supports: "+
				strings.Join(CloudNames, " "))
		}
	}
	return nil
}

// toPlacements converts a ranking for a number of machines.
func toPlacements(r bridge.Ranking, nodes int) []api.Placement {
	all := make([]api.Placement, 0, len(r.Placements))
	for _, p := range r.Placements {
		all = append(all, api.Placement{
			Cloud: p.Cloud, Region: p.Region, Zone: p.Zone, InstanceType: p.InstanceType,
			CPUs: p.CPUs, MemoryGiB: p.MemoryGiB, DiskGiB: p.DiskGiB,
			PricePerMachine: p.Price, PriceTotal: p.Price * float64(nodes),
		})
	}
	return all
}

// candidateClouds are the clouds that may provide the machines: the one in the spec, or all that are enabled.
func (c *Cloud) candidateClouds(ctx context.Context, spec api.GroupSpec) ([]string, error) {
	if spec.Cloud == "" && spec.Zone != "" && spec.Region == "" {
		return nil, newFieldError("zone", spec.Zone, "set the cloud and the region of the zone too")
	}
	enabled, err := c.ListEnabledClouds(ctx)
	if err != nil {
		return nil, err
	}
	if spec.Cloud == "" && len(enabled) > 0 {
		return enabled, nil
	}
	if slices.Contains(enabled, spec.Cloud) {
		return []string{spec.Cloud}, nil
	}
	unknown := spec.Cloud != "" && !isKnownCloud(spec.Cloud)
	if unknown && len(enabled) > 0 {
		return nil, newFieldError("cloud", spec.Cloud, "one of the clouds that are enabled: "+joinOrNone(enabled))
	}
	// The server remembers its last check, and a new server has none. Credentials may have been added since.
	look := spec.Cloud
	if len(enabled) == 0 {
		look = ""
	}
	checked, err := c.CheckCloudAccess(ctx, look)
	if err != nil {
		return nil, err
	}
	if enabled, err = c.ListEnabledClouds(ctx); err != nil {
		return nil, err
	}
	switch {
	case spec.Cloud == "" && len(enabled) > 0:
		return enabled, nil
	case slices.Contains(enabled, spec.Cloud):
		return []string{spec.Cloud}, nil
	case spec.Cloud == "":
		return nil, &cloud.Error{Kind: cloud.Access,
			Message: "no cloud is enabled: add the credentials of one (docs/clouds.md)"}
	case unknown:
		return nil, newFieldError("cloud", spec.Cloud, "one of the clouds that are enabled: "+joinOrNone(enabled))
	}
	want := fmt.Sprintf("one of the clouds that are enabled: %s; %s is not", joinOrNone(enabled), spec.Cloud)
	if why := checked[spec.Cloud]; why != "" {
		want += ": " + c.explainDisabledCloud(spec.Cloud, why)
	}
	return nil, newFieldError("cloud", spec.Cloud, want)
}

func joinOrNone(names []string) string {
	if len(names) == 0 {
		return "none yet; add the credentials of a cloud (docs/clouds.md)"
	}
	return strings.Join(names, ", ")
}

// ListEnabledClouds returns the clouds of virtual machines that the server had access to at its last check.
func (c *Cloud) ListEnabledClouds(ctx context.Context) ([]string, error) {
	if err := c.ensureServerReady(ctx); err != nil {
		return nil, err
	}
	id, err := c.client.Submit(ctx, "/enabled_clouds", nil)
	if err != nil {
		return nil, fmt.Errorf("ask which clouds are enabled: %w", err)
	}
	var names []string
	if err := c.client.AwaitResult(ctx, id, &names); err != nil {
		var failed *client.FailedRequest
		if errors.As(err, &failed) {
			if failed.Type == "NoCloudAccessError" {
				return nil, nil
			}
			return nil, failure.ToCloudError("ask which clouds are enabled", failed, nil)
		}
		return nil, fmt.Errorf("ask which clouds are enabled: %w", err)
	}
	var enabled []string
	for _, name := range names {
		if name = strings.ToLower(name); isKnownCloud(name) {
			enabled = append(enabled, name)
		}
	}
	slices.Sort(enabled)
	return enabled, nil
}

// CheckCloudAccess has the server check again whether it has access to a cloud, or to all if none is given. The result
// has an entry for each cloud that it checked: empty if the cloud is enabled, else the reason.
func (c *Cloud) CheckCloudAccess(ctx context.Context, name string) (map[string]string, error) {
	if err := c.ensureServerReady(ctx); err != nil {
		return nil, err
	}
	body := client.CheckBody{RequestSettings: client.RequestSettings{Env: installationIdentity("").RequestEnv()}}
	if name != "" {
		body.Clouds = []string{name}
	}
	id, err := c.client.Submit(ctx, "/check", body)
	if err != nil {
		return nil, fmt.Errorf("check the access to clouds: %w", err)
	}
	var log logtext.LastLines
	if err := c.client.StreamLog(ctx, id, log.Add); err != nil {
		c.log.Debug("reading the log of a check failed", "error", err)
	}
	if err := c.client.AwaitResult(ctx, id, nil); err != nil {
		var failed *client.FailedRequest
		if !errors.As(err, &failed) { // a check that finds no cloud at all fails
			return nil, fmt.Errorf("check the access to clouds: %w", err)
		}
	}
	return parseCheckReport(log.All()), nil
}
