package docker

import (
	"context"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

// CreateContainer creates a container as a launch that dies before it starts the container.
func (c *Cloud) CreateContainer(ctx context.Context, req cloud.LaunchRequest) (string, error) {
	hostKey, err := publicHostKey(req)
	if err != nil {
		return "", err
	}
	return c.createContainer(ctx, req, hostKey)
}

// NetworkName lets a test inspect the network without the cloud.
func (c *Cloud) NetworkName(owner cloud.Owner) string { return c.network.Name(owner) }

// EnsureNetwork makes sure that the network of an owner's installation exists.
func (c *Cloud) EnsureNetwork(ctx context.Context, owner cloud.Owner) error {
	return c.network.EnsureSingle(ctx, owner)
}
