package aws

import (
	"context"
	"strconv"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

// retention is how long AWS lists an instance after its end, at least: "about an hour".
const retention = 50 * time.Minute

// ListLifetimes returns when the owner's machines on AWS were launched and when they ended. AWS reports an end in whole
// seconds.
func (a *Account) ListLifetimes(ctx context.Context, owner cloud.Owner) (cloud.Lifetimes, error) {
	all, err := a.bridge.ListLifetimes(ctx, a.within, ownerTags(owner))
	if err != nil {
		return cloud.Lifetimes{}, toCloudError("list the lifetimes of machines on AWS", err)
	}
	lifetimes := cloud.Lifetimes{Clouds: []string{Name}, Remembered: retention}
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
		lifetimes.Machines = append(lifetimes.Machines, l)
	}
	return lifetimes, nil
}

func fromUnixSeconds(s float64) time.Time { return time.UnixMilli(int64(s * 1000)).UTC() }
