package skypilot

import (
	"context"
	"strconv"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

var _ cloud.LifetimeLister = (*Cloud)(nil)

// awsRetention is for how long AWS lists an instance that ended, at least: "about an hour".
const awsRetention = 50 * time.Minute

// ListLifetimes are those of machines on AWS, where the account is ours to ask. AWS tells when an instance ended in
// whole seconds.
func (c *Cloud) ListLifetimes(ctx context.Context, owner cloud.Owner) (cloud.Lifetimes, error) {
	if err := c.ensureServerReady(ctx); err != nil {
		return cloud.Lifetimes{}, err
	}
	if there, err := c.canQueryAWS(ctx); err != nil || !there {
		return cloud.Lifetimes{}, err
	}
	all, err := c.bridge.ListLifetimes(ctx, c.opts.CloudWithin, ownerTags(owner))
	if err != nil {
		return cloud.Lifetimes{}, toAWSError("ask AWS when machines were there", err)
	}
	told := cloud.Lifetimes{Clouds: []string{awsName}, Remembered: awsRetention}
	for _, i := range all {
		index, err := strconv.Atoi(i.Tags[cloud.LabelIndex])
		if err != nil {
			continue
		}
		l := cloud.Lifetime{ID: i.ID, Index: index, Incarnation: i.Tags[cloud.LabelIncarnation],
			From: fromUnixSeconds(i.Launched)}
		if l.Ended = i.State == "shutting-down" || i.State == "terminated"; l.Ended && i.Ended > 0 {
			l.Until = fromUnixSeconds(i.Ended)
		}
		told.Machines = append(told.Machines, l)
	}
	return told, nil
}

func fromUnixSeconds(s float64) time.Time { return time.UnixMilli(int64(s * 1000)).UTC() }
