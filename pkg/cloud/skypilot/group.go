package skypilot

import (
	"context"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

// A security group that something holds still is tried again after groupEvery, then after twice that, up to groupSeldom; for
// groupTime in all, where the caller sets no nearer deadline. Machines that are just being terminated hold it for half a minute.
const (
	groupEvery  = time.Second
	groupSeldom = 10 * time.Second
	groupTime   = 2 * time.Minute
)

// heldGroup is a region in which a security group can't be deleted yet.
type heldGroup struct {
	Region string `json:"region"`
	Why    string `json:"why"`
}

// deleteGroup deletes a security group on AWS wherever it is. It is Transient where something still holds it in the end.
func (c *Cloud) deleteGroup(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, groupTime)
	defer cancel()
	var regions []string
	for wait := groupEvery; ; wait = min(2*wait, groupSeldom) {
		question := struct {
			Op      string   `json:"op"`
			Group   string   `json:"group"`
			Regions []string `json:"regions,omitempty"`
		}{"aws_release", name, regions}
		var answer struct {
			Held []heldGroup `json:"held"`
		}
		if err := c.bridge.askCloud(ctx, 0, question, &answer); err != nil {
			return err
		}
		if len(answer.Held) == 0 {
			return nil
		}
		regions = nil
		for _, held := range answer.Held {
			regions = append(regions, held.Region)
		}
		if pause(ctx, wait) != nil {
			return &cloud.Error{Kind: cloud.Transient, Message: "something on AWS still uses it: " + answer.Held[0].Why}
		}
	}
}
