package skypilot

import (
	"context"
	"time"

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

// heldSecurityGroup is a region in which a security group can't be deleted yet.
type heldSecurityGroup struct {
	Region string `json:"region"`
	Why    string `json:"why"`
}

// deleteSecurityGroup deletes a security group on AWS wherever it is. It is Transient where something still holds it in
// the end.
func (c *Cloud) deleteSecurityGroup(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, groupDeleteTimeout)
	defer cancel()
	var regions []string
	for wait := groupRetryInterval; ; wait = min(2*wait, maxGroupRetryInterval) {
		question := struct {
			Op      string   `json:"op"`
			Group   string   `json:"group"`
			Regions []string `json:"regions,omitempty"`
		}{"aws_release", name, regions}
		var answer struct {
			Held []heldSecurityGroup `json:"held"`
		}
		if err := c.bridge.callCloud(ctx, 0, question, &answer); err != nil {
			return err
		}
		if len(answer.Held) == 0 {
			return nil
		}
		regions = nil
		for _, held := range answer.Held {
			regions = append(regions, held.Region)
		}
		if sleepWithContext(ctx, wait) != nil {
			return &cloud.Error{Kind: cloud.Transient, Message: "something on AWS still uses it: " + answer.Held[0].Why}
		}
	}
}
