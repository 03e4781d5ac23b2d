package skypilot

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/bridge"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/client"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/failure"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/task"
)

// clusterRecord is a SkyPilot cluster, which has one machine.
type clusterRecord struct {
	client.ClusterRecord
	// unasked: the record is an earlier one, because the cloud did not answer, or SkyPilot is working on the machine.
	unasked bool
}

// listClusterRecords returns the owner's clusters as their clouds show them now, and why clouds did not answer.
// Clusters that are being launched are not refreshed: that would wait for the launch, up to 20 s, and return nothing
// new.
func (c *Cloud) listClusterRecords(ctx context.Context, owner cloud.Owner, launching []client.Request) ([]clusterRecord,
	map[string]error, error) {
	all, err := c.readClusterRecords(ctx, owner, nil, client.RefreshNone)
	if err != nil {
		return nil, nil, err
	}
	silent, on := map[string]error{}, map[string][]clusterRecord{}
	all = slices.DeleteFunc(all, func(r clusterRecord) bool {
		if !isOwnedBy(r.Labels, owner) {
			return true
		}
		underWay := slices.ContainsFunc(launching, func(q client.Request) bool { return q.ClusterName == r.Name })
		if !underWay {
			at := strings.ToLower(r.Cloud)
			on[at] = append(on[at], r)
		}
		return !underWay
	})
	var mu sync.Mutex
	var asked sync.WaitGroup
	for at, known := range on {
		asked.Go(func() {
			fresh, err := c.refreshClusterRecords(ctx, owner, known)
			mu.Lock()
			defer mu.Unlock()
			if all = append(all, fresh...); err != nil {
				silent[at] = err
			}
		})
	}
	asked.Wait()
	for _, err := range silent {
		if cloud.KindOf(err) == cloud.Unreachable { // SkyPilot itself
			return nil, nil, err
		}
	}
	return all, silent, context.Cause(ctx)
}

// refreshClusterRecords has SkyPilot ask a cloud about the owner's clusters there. If that fails, it returns the
// records as they were.
func (c *Cloud) refreshClusterRecords(ctx context.Context, owner cloud.Owner, known []clusterRecord) ([]clusterRecord,
	error) {
	var names []string
	before := map[string]int64{}
	for _, r := range known {
		names = append(names, r.Name)
		before[r.Name] = r.UpdatedAt
	}
	soon, cancel := context.WithTimeoutCause(ctx, c.opts.CloudWithin, bridge.NewSilenceError(c.opts.CloudWithin))
	defer cancel()
	fresh, err := c.readClusterRecords(soon, owner, names, client.RefreshForce)
	if err != nil {
		for i := range known {
			known[i].unasked = true
		}
		if ctx.Err() == nil && soon.Err() != nil {
			err = &cloud.Error{Kind: cloud.Transient, Message: "ask for the state of machines",
				Cause: context.Cause(soon)}
		}
		return known, err
	}
	fresh = slices.DeleteFunc(fresh, func(r clusterRecord) bool { return !isOwnedBy(r.Labels, owner) })
	for i := range fresh {
		fresh[i].unasked = isStaleRecord(fresh[i], before[fresh[i].Name], time.Now())
	}
	return fresh, nil
}

// freshnessMargin is the age up to which an unchanged record counts as fresh: SkyPilot updated it just before the
// request.
const freshnessMargin = 5 * time.Second

// isStaleRecord reports whether SkyPilot returned an old record although it was to ask the cloud, which it does without
// an error. It sets a time, in whole seconds, whenever the cloud has answered. Its clock may differ from ours.
func isStaleRecord(r clusterRecord, before int64, now time.Time) bool {
	return r.UpdatedAt != 0 && r.UpdatedAt == before && now.Sub(time.Unix(r.UpdatedAt, 0)).Abs() > freshnessMargin
}

// readClusterRecords reads clusters by name, or all if names is nil. It cancels a request whose caller gave up:
// requests to a cloud that hangs would occupy the server's workers.
func (c *Cloud) readClusterRecords(ctx context.Context, owner cloud.Owner, names []string,
	refresh string) ([]clusterRecord, error) {
	id, err := c.client.Submit(ctx, "/status", client.StatusBody{
		RequestSettings: client.RequestSettings{Env: installationIdentity(owner.Installation).RequestEnv()},
		ClusterNames:    names, Refresh: refresh,
		AllUsers: true, IncludeCredentials: len(names) == 1, IncludeHandle: true,
	})
	if err != nil {
		return nil, err
	}
	var found []clusterRecord
	if err := c.client.AwaitResult(ctx, id, &found); err != nil {
		if ctx.Err() != nil {
			soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelTimeout)
			defer cancel()
			if err := c.cancelRequests(soon, installationIdentity(owner.Installation), id); err != nil {
				c.log.Info("could not cancel a request for the state of machines", "request", id, "error", err)
			}
		}
		var failed *client.FailedRequest
		if errors.As(err, &failed) {
			return nil, failure.ToCloudError("ask SkyPilot for the state of machines", failed, nil)
		}
		return nil, err
	}
	for i := range found {
		if found[i].Labels == nil { // an older server does not list them
			found[i].Labels = task.ParseLabels(found[i].Yaml)
		}
	}
	return found, nil
}

// cancelTimeout bounds the cancellation of a request.
const cancelTimeout = 5 * time.Second
