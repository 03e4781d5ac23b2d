package skypilot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

// silence is why a cloud that was given so long counts as silent.
func silence(d time.Duration) error { return fmt.Errorf("no answer within %v", d) }

// records are the owner's clusters, with what their clouds say of them now, and why clouds said nothing. Those that are being
// launched are taken as they stand: asking their clouds would wait for the launch, 20 s at most, and tell nothing new.
func (c *Cloud) records(ctx context.Context, owner cloud.Owner, launching []request) ([]record, map[string]error, error) {
	all, err := c.status(ctx, owner, nil, refreshNone)
	if err != nil {
		return nil, nil, err
	}
	silent, on := map[string]error{}, map[string][]record{}
	all = slices.DeleteFunc(all, func(r record) bool {
		if !ours(r.Labels, owner) {
			return true
		}
		underWay := slices.ContainsFunc(launching, func(q request) bool { return q.ClusterName == r.Name })
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
			fresh, err := c.refresh(ctx, owner, known)
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

// refresh has SkyPilot ask a cloud about the owner's clusters there. Where that fails they come back as they were known.
func (c *Cloud) refresh(ctx context.Context, owner cloud.Owner, known []record) ([]record, error) {
	var names []string
	before := map[string]int64{}
	for _, r := range known {
		names = append(names, r.Name)
		before[r.Name] = r.UpdatedAt
	}
	soon, cancel := context.WithTimeoutCause(ctx, c.opts.CloudWithin, silence(c.opts.CloudWithin))
	defer cancel()
	fresh, err := c.status(soon, owner, names, refreshForce)
	if err != nil {
		for i := range known {
			known[i].unasked = true
		}
		if ctx.Err() == nil && soon.Err() != nil {
			err = &cloud.Error{Kind: cloud.Transient, Message: "ask for the state of machines", Cause: context.Cause(soon)}
		}
		return known, err
	}
	fresh = slices.DeleteFunc(fresh, func(r record) bool { return !ours(r.Labels, owner) })
	for i := range fresh {
		fresh[i].unasked = stale(fresh[i], before[fresh[i].Name], time.Now())
	}
	return fresh, nil
}

// justNow is how old a state may be that did not change though it was asked for: what SkyPilot noted that lately is no older
// than what it would be told.
const justNow = 5 * time.Second

// stale says that a record which SkyPilot was to ask its cloud about was not: it keeps the old one then, and tells nobody. It
// notes a time, in its own seconds, whenever the cloud has answered; its clock need not be ours.
func stale(r record, before int64, now time.Time) bool {
	return r.UpdatedAt != 0 && r.UpdatedAt == before && now.Sub(time.Unix(r.UpdatedAt, 0)).Abs() > justNow
}

// status asks for clusters by name, all of them where names is nil. A request that nobody waits for any more is cancelled: a
// cloud that hangs would use up the server's workers otherwise.
func (c *Cloud) status(ctx context.Context, owner cloud.Owner, names []string, refresh string) ([]record, error) {
	id, err := c.client.submit(ctx, "/status", statusBody{
		common: common{Env: user(owner.Installation).env()}, ClusterNames: names, Refresh: refresh,
		AllUsers: true, IncludeCredentials: len(names) == 1, IncludeHandle: true,
	})
	if err != nil {
		return nil, err
	}
	var found []record
	if err := c.client.get(ctx, id, &found); err != nil {
		if ctx.Err() != nil {
			soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelWithin)
			defer cancel()
			if err := c.cancel(soon, user(owner.Installation), id); err != nil {
				c.log.Info("a request for the state of machines was not cancelled", "request", id, "error", err)
			}
		}
		var failed *failedRequest
		if errors.As(err, &failed) {
			return nil, judged("ask SkyPilot for the state of machines", failed, nil)
		}
		return nil, err
	}
	for i := range found {
		if found[i].Labels == nil { // a server that doesn't list them
			found[i].Labels = taskLabels(found[i].Yaml)
		}
	}
	return found, nil
}

// cancelWithin bounds the wait for a request to be cancelled.
const cancelWithin = 5 * time.Second
