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

// A SkyPilot server whose databases were lost knows of no cluster, has access to no cloud until it has looked for it,
// and says neither: it lists nothing, as one does that never launched anything. What follows tells the two apart.

// silentCloud is a cloud of which nobody can say what it has, and why.
type silentCloud struct {
	name string
	why  error
}

// enableKnownClouds has the server look for access to the clouds that are known and that it has none to. It returns
// those to which it finds none.
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

// recheckAfter is how long the result of a look for access to a cloud holds where there was none.
const recheckAfter = 20 * time.Second

// disabledClouds are those to which a look found no access lately.
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

// enableCloud has the server look for access to one cloud, within the time that a cloud has for an answer. One look
// serves all who want it at that moment.
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
		err = &cloud.Error{Kind: cloud.Transient, Cause: err, Message: "look for access to the cloud"}
	} else if why, looked := found[name]; !looked || why != "" {
		if !looked {
			why = "it does not say why"
		}
		err = &cloud.Error{Kind: cloud.Transient, Message: fmt.Sprintf(
			"the SkyPilot API server at %s has no access to it (%s), so nobody can say what is there; 'skyctl "+
				"check' tells more",
			c.client.Endpoint, c.explainDisabledCloud(name, why))}
	}
	c.disabled.rememberCheck(name, err)
	return err
}

// findForgottenMachines are the clouds of machines that SkyPilot has no record of, neither as there nor as gone. On AWS
// the cloud itself was asked for them by their labels, where the account is ours to ask.
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
		"the SkyPilot API server at %s has no record of machine %s, neither as there nor as gone: its databases "+
			"were lost, or an "+
			"older copy of them was restored. Look for the machine in the cloud's own list (label %s) and end it "+
			"there, then delete "+
			"the cluster with --purge", c.client.Endpoint, m.Name, cloud.LabelInstallation)}
}

// pastCluster is a cluster that the server has, or once had, as its report of costs shows it.
type pastCluster struct {
	Name string `json:"name"`
	Yaml string `json:"last_creation_yaml"`
}

// matchesMachine says whether it was the machine.
func (p pastCluster) matchesMachine(m cloud.KnownMachine) bool {
	return p.Name == m.Name && (m.Incarnation == "" ||
		task.ParseLabels(p.Yaml)[cloud.LabelIncarnation] == m.Incarnation)
}

// pastDays is how far back the server is asked for clusters that are gone.
const pastDays = 3650

// listPastClusters is what the server remembers of machines, those that are gone among them.
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
		return nil, failure.ToCloudError("ask SkyPilot for what it remembers of machines", failed, nil)
	}
	return past, err
}

// terminateForgotten ends a target that SkyPilot does not know, if it is there. Where nobody can say whether it is,
// that is an error.
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
