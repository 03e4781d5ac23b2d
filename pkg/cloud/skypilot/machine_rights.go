package skypilot

import (
	"context"
	"fmt"
	"slices"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/client"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/task"
)

// identityClouds are the clouds on which SkyPilot gives every machine an identity with rights on the account, which any
// pod could use: on AWS an instance profile, on GCP a service account, on Azure a contributor's identity. The lean
// plugin removes it.
var identityClouds = []string{"aws", "azure", "gcp"}

// chooseInstanceProfile returns the instance profile, or identity, for a machine. It rejects a machine that would have
// rights.
func (c *Cloud) chooseInstanceProfile(ctx context.Context, req cloud.LaunchRequest) (string, error) {
	at := req.Placement.Cloud
	if at == "aws" && c.opts.AWSInstanceProfile != "" || !slices.Contains(identityClouds, at) {
		return c.opts.AWSInstanceProfile, nil
	}
	lean, err := c.HasLeanPlugin(ctx)
	if err != nil {
		return "", err
	}
	if lean {
		return task.NoProfile, nil
	}
	fix := "install skyctl's lean plugin on that server"
	if at == "aws" {
		fix = "set an instance profile without rights (skypilot.awsInstanceProfile), or " + fix
	}
	return "", &cloud.Error{Kind: cloud.Access, Message: fmt.Sprintf(
		"machine %s: the SkyPilot API server at %s would give it rights on the whole %s account: %s", req.Name,
		c.client.Endpoint, at, fix)}
}

// HasLeanPlugin reports whether the server leaves SkyPilot's runtime off the machines.
func (c *Cloud) HasLeanPlugin(ctx context.Context) (bool, error) {
	if err := c.ensureServerReady(ctx); err != nil {
		return false, err
	}
	var answer struct {
		Plugins []struct {
			Name string `json:"name"`
		} `json:"plugins"`
	}
	if _, err := c.client.Call(ctx, "/api/plugins", nil, &answer); err != nil {
		if client.IsNotFound(err) { // an older server
			return false, nil
		}
		return false, err
	}
	for _, p := range answer.Plugins {
		if p.Name == "skyctl_lean" {
			return true, nil
		}
	}
	return false, nil
}
