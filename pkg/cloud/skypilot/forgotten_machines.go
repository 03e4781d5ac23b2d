package skypilot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/aws"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/bridge"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/client"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/failure"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/task"
)

// A SkyPilot server that lost its databases knows no cluster, has access to no cloud until it checks for it, and
// reports neither: it lists nothing, like a server that never launched anything. This file tells the two apart.

// silentCloud is a cloud whose machines are unknown, and the reason.
type silentCloud struct {
	name string
	why  error
}

// enableKnownClouds has the server check for access to those known clouds that it has no access to. It returns the
// clouds that remain inaccessible.
func (c *Cloud) enableKnownClouds(ctx context.Context, known cloud.KnownMachines) ([]silentCloud, error) {
	names := slices.Clone(known.Clouds)
	for _, m := range known.Machines {
		names = append(names, m.Cloud)
	}
	slices.Sort(names)
	names = slices.DeleteFunc(slices.Compact(names),
		func(name string) bool { return !slices.Contains(CloudNames, name) })
	if len(names) == 0 {
		return nil, nil
	}
	enabled, err := c.ListEnabledClouds(ctx)
	if err != nil {
		return nil, err
	}
	var closed []silentCloud
	for _, name := range names {
		if slices.Contains(enabled, name) {
			continue
		}
		if err := c.enableCloud(ctx, name); err != nil {
			closed = append(closed, silentCloud{name, err})
		}
	}
	return closed, context.Cause(ctx)
}

// recheckAfter is how long a failed check for access to a cloud is remembered.
const recheckAfter = 20 * time.Second

// disabledClouds are the clouds to which a recent check found no access.
type disabledClouds struct {
	mu  sync.Mutex
	why map[string]disabledCloud
}

type disabledCloud struct {
	at  time.Time
	why error
}

func (c *disabledClouds) lastCheck(name string) disabledCloud {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.why[name]
}

func (c *disabledClouds) rememberCheck(name string, why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why == nil {
		c.why = map[string]disabledCloud{}
	}
	c.why[name] = disabledCloud{time.Now(), why}
}

// enableCloud has the server check for access to one cloud, within the time that a cloud has for an answer. Concurrent
// callers share one check.
func (c *Cloud) enableCloud(ctx context.Context, name string) error {
	done, err := c.names.Acquire(ctx, "access to "+name)
	if err != nil {
		return err
	}
	defer done()
	if last := c.disabled.lastCheck(name); time.Since(last.at) < recheckAfter {
		return last.why
	}
	soon, cancel := context.WithTimeoutCause(ctx, c.opts.CloudWithin, bridge.NewSilenceError(c.opts.CloudWithin))
	defer cancel()
	found, err := c.CheckCloudAccess(soon, name)
	if err != nil {
		err = &cloud.Error{Kind: cloud.Transient, Cause: err, Message: "check the access to the cloud"}
	} else if why, looked := found[name]; !looked || why != "" {
		if !looked {
			why = "it gives no reason"
		}
		err = &cloud.Error{Kind: cloud.Transient, Message: fmt.Sprintf(
			"the SkyPilot API server at %s has no access to it (%s), so its machines are unknown; see 'skyctl "+
				"check'",
			c.client.Endpoint, c.explainDisabledCloud(name, why))}
	}
	c.disabled.rememberCheck(name, err)
	return err
}

// findForgottenMachines returns the clouds of known machines of which SkyPilot has no record, neither as existing nor
// as gone. It leaves out AWS if skyctl has asked the account itself.
func (c *Cloud) findForgottenMachines(ctx context.Context, owner cloud.Owner, known []cloud.KnownMachine,
	listed []cloud.Machine) ([]silentCloud, error) {
	missing := slices.DeleteFunc(slices.Clone(known), func(m cloud.KnownMachine) bool {
		there := func(l cloud.Machine) bool {
			return l.Name == m.Name && (m.Incarnation == "" || l.Incarnation == m.Incarnation)
		}
		return m.Cloud == aws.Name && c.server != nil || !slices.Contains(CloudNames, m.Cloud) ||
			slices.ContainsFunc(listed, there)
	})
	if len(missing) == 0 {
		return nil, nil
	}
	past, err := c.listPastClusters(ctx, owner, missing)
	if err != nil {
		return nil, err
	}
	var forgotten []silentCloud
	for _, m := range missing {
		if !slices.ContainsFunc(past, func(r pastCluster) bool { return r.matchesMachine(m) }) {
			forgotten = append(forgotten, silentCloud{m.Cloud, c.newNoRecordError(m)})
		}
	}
	return forgotten, nil
}

func (c *Cloud) newNoRecordError(m cloud.KnownMachine) error {
	return &cloud.Error{Kind: cloud.Transient, Message: fmt.Sprintf(
		"the SkyPilot API server at %s has no record of machine %s, neither as existing nor as gone: its "+
			"databases were lost, or an older copy of them was restored. Look for the machine in the cloud's own "+
			"list (label %s) and terminate it there, then delete the cluster with --purge", c.client.Endpoint, m.Name,
		cloud.LabelInstallation)}
}

// pastCluster is a cluster in the server's cost report, which exists or once existed.
type pastCluster struct {
	Name string `json:"name"`
	Yaml string `json:"last_creation_yaml"`
}

// matchesMachine reports whether the cluster is or was the machine.
func (p pastCluster) matchesMachine(m cloud.KnownMachine) bool {
	return p.Name == m.Name && (m.Incarnation == "" ||
		task.ParseLabels(p.Yaml)[cloud.LabelIncarnation] == m.Incarnation)
}

// pastDays is how far back the cost report goes.
const pastDays = 3650

// listPastClusters returns what the server remembers about machines, including those that are gone.
func (c *Cloud) listPastClusters(ctx context.Context, owner cloud.Owner, machines []cloud.KnownMachine) ([]pastCluster,
	error) {
	body := client.CostReportBody{RequestSettings: client.RequestSettings{Env: installationIdentity(
		owner.Installation).RequestEnv()},
		Days: pastDays}
	for _, m := range machines {
		body.ClusterNames = append(body.ClusterNames, m.Name)
	}
	id, err := c.client.Submit(ctx, "/cost_report", body)
	var past []pastCluster
	if err == nil {
		err = c.client.AwaitResult(ctx, id, &past)
	}
	if failed := new(client.FailedRequest); errors.As(err, &failed) {
		return nil, failure.ToCloudError("ask SkyPilot for past machines", failed, nil)
	}
	return past, err
}

// terminateForgotten terminates a target that SkyPilot does not know, if it exists. It returns an error if that is
// unknown.
func (c *Cloud) terminateForgotten(ctx context.Context, target cloud.Target) error {
	if c.server != nil && (target.Cloud == aws.Name || target.Cloud == "") {
		closed, err := c.enableKnownClouds(ctx, cloud.KnownMachines{Clouds: []string{target.Cloud}})
		for _, s := range closed {
			err = errors.Join(err, fmt.Errorf("%s: %w", s.name, s.why))
		}
		if err != nil {
			return fmt.Errorf("terminate machine %s: %w", target.Name, err)
		}
		if there, err := c.canQueryAWS(ctx); err != nil || !there {
			return err
		}
		return c.aws.Terminate(ctx, target)
	}
	if target.ID == "" {
		return nil // it was never up
	}
	known := []cloud.KnownMachine{{Cloud: target.Cloud, Name: target.Name, Incarnation: target.Incarnation}}
	forgotten, err := c.findForgottenMachines(ctx, target.Owner, known, nil)
	for _, s := range forgotten {
		err = errors.Join(err, fmt.Errorf("%s: %w", s.name, s.why))
	}
	if err != nil {
		return fmt.Errorf("terminate machine %s: %w", target.Name, err)
	}
	return nil
}
