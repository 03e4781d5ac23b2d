package docker

import (
	"context"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

// CreateContainer does what a launch does that dies before it starts its container.
func (c *Cloud) CreateContainer(ctx context.Context, req cloud.LaunchRequest) (string, error) {
	hostKey, err := publicHostKey(req)
	if err != nil {
		return "", err
	}
	return c.createContainer(ctx, req, hostKey)
}

// NetworkName is what a test looks at behind the cloud's back.
func (c *Cloud) NetworkName(owner cloud.Owner) string { return c.network.Name(owner) }
