package skypilot

import (
	"context"
	"fmt"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

// profile is the instance profile of a machine on AWS. Without the lean plugin SkyPilot would give it one of its own, with
// full rights on the account's machines for any pod.
func (c *Cloud) profile(ctx context.Context, req cloud.LaunchRequest) (string, error) {
	if c.opts.AWSInstanceProfile != "" || req.Placement.Cloud != "aws" {
		return c.opts.AWSInstanceProfile, nil
	}
	lean, err := c.Lean(ctx)
	if err != nil {
		return "", err
	}
	if !lean {
		return "", &cloud.Error{Kind: cloud.Access, Message: fmt.Sprintf(
			"machine %s: the SkyPilot API server at %s would give it rights on the whole AWS account: name an instance profile without rights (skypilot.awsInstanceProfile), or install skyctl's lean plugin on that server",
			req.Name, c.client.endpoint)}
	}
	return noProfile, nil
}

// Lean says whether the server leaves SkyPilot's runtime off the machines.
func (c *Cloud) Lean(ctx context.Context) (bool, error) {
	if err := c.ready(ctx); err != nil {
		return false, err
	}
	var told struct {
		Plugins []struct {
			Name string `json:"name"`
		} `json:"plugins"`
	}
	if _, err := c.client.ask(ctx, "/api/plugins", nil, &told); err != nil {
		if isGone(err) { // an older server
			return false, nil
		}
		return false, err
	}
	for _, p := range told.Plugins {
		if p.Name == "skyctl_lean" {
			return true, nil
		}
	}
	return false, nil
}
