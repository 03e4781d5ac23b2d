package observe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

// unownedGrace is how long records without a cluster stay: a person may restore the cluster's object.
const unownedGrace = 7 * 24 * time.Hour

// findUnowned returns records without a cluster. It returns none while a cluster's record is damaged: they may belong
// to it.
func (a *Activities) findUnowned(ctx context.Context) ([]store.UnownedRecords, error) {
	found, err := a.Store.FindUnownedRecords(ctx, a.Now())
	if corrupt := new(store.CorruptError); errors.As(err, &corrupt) {
		return nil, nil
	}
	return found, err
}

// setAsideUnowned sets aside records under UIDs that no cluster has, such as after a cluster's object was removed from
// etcd by hand. It waits until every cloud has confirmed that no machine runs under the UID, and until a week after the
// records were first found. A copy stays for a month.
func (a *Activities) setAsideUnowned(ctx context.Context, found []store.UnownedRecords, all providerListings) error {
	for _, u := range found {
		if a.Now().Sub(u.FirstSeen) < unownedGrace || !a.hasNoMachines(u, all) {
			continue
		}
		done, err := a.Store.SetAsideUnownedRecords(ctx, u.UID)
		if err != nil {
			return err
		}
		if !done {
			activity.GetLogger(ctx).Info("records without a cluster were not set aside: a cluster was written at "+
				"the same time",
				"uid", u.UID)
			continue
		}
		a.recordEventNow(ctx, api.Event{UID: u.UID, Type: api.EventNormal, Reason: "RecordsSetAside",
			Message: fmt.Sprintf(
				"%s under UID %s belonged to no cluster and were set aside; a copy stays in etcd for 30 days",
				activities.FormatCount(u.Records, "record"), u.UID)})
	}
	return nil
}

// hasNoMachines reports whether every cloud that may have machines of a UID answered, and has none.
func (a *Activities) hasNoMachines(u store.UnownedRecords, all providerListings) bool {
	for _, l := range all {
		if l.err != nil || len(l.machines[u.UID]) > 0 {
			return false
		}
	}
	for _, m := range u.Machines {
		if _, asked := all[a.Clouds.ProviderName(m.Placement.Cloud)]; !asked {
			return false
		}
	}
	return true
}
