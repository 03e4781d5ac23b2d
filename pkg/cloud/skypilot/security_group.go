package skypilot

import (
	"context"
	"time"

	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// A security group that something holds still is tried again after groupRetryInterval, then after twice that, up to
// maxGroupRetryInterval; for groupDeleteTimeout in all, where the caller sets no nearer deadline. Machines that are
// just being terminated hold it for half a minute.
const (
	groupRetryInterval    = time.Second
	maxGroupRetryInterval = 10 * time.Second
	groupDeleteTimeout    = 2 * time.Minute
)

// deleteSecurityGroup deletes a security group on AWS wherever it is. It is Transient where something still holds it in
// the end.
func (c *Cloud) deleteSecurityGroup(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, groupDeleteTimeout)
	defer cancel()
	var regions []string
	for wait := groupRetryInterval; ; wait = min(2*wait, maxGroupRetryInterval) {
		held, err := c.bridge.DeleteSecurityGroup(ctx, name, regions)
		if err != nil {
			return err
		}
		if len(held) == 0 {
			return nil
		}
		regions = nil
		for _, h := range held {
			regions = append(regions, h.Region)
		}
		if await.Pause(ctx, wait) != nil {
			return &cloud.Error{Kind: cloud.Transient, Message: "something on AWS still uses it: " + held[0].Why}
		}
	}
}
