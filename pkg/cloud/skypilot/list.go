package skypilot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

const (
	// terminateTime is how long ending a machine may take, where the caller sets no deadline.
	terminateTime = 10 * time.Minute
	confirmEvery  = time.Second
)

// List returns the owner's machines as their clouds show them, those that are being launched among them.
func (c *Cloud) List(ctx context.Context, owner cloud.Owner) ([]cloud.Machine, error) {
	return c.ListKnown(ctx, owner, cloud.Known{})
}

// ListKnown is List, and sees that SkyPilot has access to the clouds that are known, and a record of the machines.
func (c *Cloud) ListKnown(ctx context.Context, owner cloud.Owner, known cloud.Known) ([]cloud.Machine, error) {
	if owner.Installation == "" {
		return nil, &cloud.Error{Kind: cloud.Infeasible, Message: "list machines: the installation's id is missing"}
	}
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	// Launches first: one that ends in between is then in the status.
	launching, err := c.requests(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("list machines: %w", err)
	}
	found, silent, err := c.records(ctx, owner, launching)
	if err != nil {
		return nil, fmt.Errorf("list machines: %w", err)
	}
	listed, err := c.machines(ctx, found)
	if err != nil {
		return nil, fmt.Errorf("list machines: %w", err)
	}
	for _, r := range launching {
		labels := r.labels()
		named := func(m cloud.Machine) bool { return m.Name == r.ClusterName }
		if ours(labels, owner) && !slices.ContainsFunc(listed, named) {
			listed = append(listed, machineOf(r.ClusterName, labels))
		}
	}
	closed, err := c.openClouds(ctx, known)
	if err != nil {
		return nil, fmt.Errorf("list machines: %w", err)
	}
	listed, err = c.findStrays(ctx, owner, found, listed)
	if err != nil {
		closed = append(closed, silentCloud{awsName, err})
	}
	forgotten, err := c.findForgotten(ctx, owner, known.Machines, listed)
	if err != nil {
		return nil, fmt.Errorf("list machines: %w", err)
	}
	for _, s := range append(closed, forgotten...) {
		silent[s.name] = errors.Join(silent[s.name], s.why)
	}
	if len(silent) > 0 {
		return listed, fmt.Errorf("list machines: %w", &cloud.PartialError{Clouds: silent})
	}
	return listed, nil
}

// find returns the cluster of a name, whosever it is, or nil.
func (c *Cloud) find(ctx context.Context, owner cloud.Owner, name, refresh string) (*record, error) {
	found, err := c.status(ctx, owner, []string{name}, refresh)
	if err != nil {
		return nil, fmt.Errorf("look for machine %s: %w", name, err)
	}
	for i := range found {
		if found[i].Name == name {
			return &found[i], nil
		}
	}
	return nil, nil
}

// where is what the bridge reads out of a handle.
type where struct {
	Address        string  `json:"address"`
	PrivateAddress string  `json:"private_address"`
	SSHPort        int     `json:"ssh_port"`
	ID             string  `json:"id"`
	Region         string  `json:"region"`
	Zone           string  `json:"zone"`
	InstanceType   string  `json:"instance_type"`
	CPUs           float64 `json:"cpus"`
	MemoryGiB      float64 `json:"memory_gib"`
	Price          float64 `json:"price"`
	// Startable: SkyPilot can start it where it was stopped.
	Startable bool `json:"startable"`
}

// machines reads clusters as machines.
func (c *Cloud) machines(ctx context.Context, records []record) ([]cloud.Machine, error) {
	if len(records) == 0 {
		return nil, nil
	}
	question := struct {
		Op      string   `json:"op"`
		Handles []string `json:"handles"`
	}{Op: "handles"}
	for _, r := range records {
		question.Handles = append(question.Handles, r.Handle)
	}
	var places []where
	if err := c.bridge.ask(ctx, question, &places); err != nil {
		return nil, fmt.Errorf("read where machines are: %w", err)
	}
	if len(places) != len(records) {
		return nil, fmt.Errorf("read where machines are: %d answers for %d machines", len(places), len(records))
	}
	all := make([]cloud.Machine, 0, len(records))
	for i, r := range records {
		m, at := machineOf(r.Name, r.Labels), places[i]
		m.ID, m.Address, m.PrivateAddress, m.SSHPort = at.ID, at.Address, at.PrivateAddress, at.SSHPort
		if m.SSHPort == 0 {
			m.SSHPort = 22
		}
		if r.Credentials != nil {
			m.SSHUser = r.Credentials.User
		}
		m.CreatedAt, m.CPUs, m.MemoryGiB = time.Unix(r.LaunchedAt, 0), at.CPUs, at.MemoryGiB
		m.Cloud, m.PricePerHour, m.NoStart = r.cloudName(), at.Price, !at.Startable
		switch {
		case r.unasked:
			m.State = cloud.StateUnknown
		case r.Status == clusterUp:
			m.State = cloud.StateRunning
		case r.Status == clusterInit:
			m.State = cloud.StatePending
		default:
			m.State = cloud.StateStopped
		}
		all = append(all, m)
	}
	return all, nil
}

// machineOf is what the labels say of a machine; labels that don't parse read as zero, the machine is listed still.
func machineOf(name string, labels map[string]string) cloud.Machine {
	index, _ := strconv.Atoi(labels[cloud.LabelIndex])
	return cloud.Machine{
		Owner: cloud.Owner{
			Installation: labels[cloud.LabelInstallation], Cluster: labels[cloud.LabelCluster], ClusterUID: labels[cloud.LabelClusterUID],
		},
		Name: name, Index: index, Incarnation: labels[cloud.LabelIncarnation], State: cloud.StatePending,
	}
}

// Terminate cancels the launch of the target, takes the machine down and sees that it is gone.
func (c *Cloud) Terminate(ctx context.Context, target cloud.Target) error {
	owner, name := target.Owner, target.Name
	if owner.Installation == "" {
		return &cloud.Error{Kind: cloud.Infeasible, Message: fmt.Sprintf("terminate machine %s: the installation's id is missing", name)}
	}
	if err := c.ready(ctx); err != nil {
		return err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, terminateTime)
		defer cancel()
	}
	release, err := c.names.acquire(ctx, name)
	if err != nil {
		return fmt.Errorf("terminate machine %s: %w", name, err)
	}
	defer release()
	if err := c.endLaunches(ctx, target); err != nil {
		return err
	}
	for down := false; ; down = true {
		found, err := c.identify(ctx, target)
		if err != nil {
			return err
		}
		if found == nil && down {
			return nil // SkyPilot has asked the cloud
		}
		if found == nil {
			return c.endForgotten(ctx, target)
		}
		if done, err := c.downAlone(ctx, target, found); done || err != nil {
			return err
		}
		if err := c.down(ctx, owner, name); err != nil {
			return err
		}
		if err := pause(ctx, confirmEvery); err != nil {
			return &cloud.Error{Kind: cloud.Transient, Cause: err, Message: fmt.Sprintf(
				"terminate machine %s: SkyPilot still lists it", name)}
		}
	}
}

// identify is the SkyPilot cluster that is the target; nil where there is none, and a Conflict where its machine is another one.
func (c *Cloud) identify(ctx context.Context, target cloud.Target) (*record, error) {
	found, err := c.find(ctx, target.Owner, target.Name, refreshNone)
	if err != nil || found == nil {
		return nil, err
	}
	if !ours(found.Labels, target.Owner) {
		c.log.Info("a SkyPilot cluster has the name of a machine to end, and is another's: it is left alone", "machine", target.Name)
		return nil, nil
	}
	all, err := c.machines(ctx, []record{*found})
	if err != nil {
		return nil, err
	}
	if target.ID == found.NameOnCloud { // an earlier version took that for the id where SkyPilot told none
		target.ID = ""
	}
	chosen, err := target.Choose(all)
	if err != nil || chosen == nil {
		return nil, err
	}
	return found, nil
}

// endLaunches cancels what would make the machine again, and waits until the server has stopped working on it.
func (c *Cloud) endLaunches(ctx context.Context, target cloud.Target) error {
	owner, name := target.Owner, target.Name
	for cancelled := map[string]bool{}; ; {
		active, err := c.launchesOf(ctx, name)
		if err != nil {
			return err
		}
		active = slices.DeleteFunc(active, func(r request) bool { return target.Check(machineOf(name, r.labels())) != nil })
		if len(active) == 0 {
			return nil
		}
		for _, r := range active {
			if cancelled[r.ID] {
				continue
			}
			if err := c.cancel(ctx, user(owner.Installation), r.ID); err != nil {
				return fmt.Errorf("terminate machine %s: %w", name, err)
			}
			cancelled[r.ID] = true
		}
		if err := pause(ctx, roomEvery); err != nil {
			return &cloud.Error{Kind: cloud.Transient, Cause: err, Message: fmt.Sprintf(
				"terminate machine %s: its launch goes on although it was cancelled", name)}
		}
	}
}

// down takes a cluster down; one that is not there is a success.
func (c *Cloud) down(ctx context.Context, owner cloud.Owner, name string) error {
	id, err := c.client.submit(ctx, "/down", downBody{common: common{Env: user(owner.Installation).env()}, ClusterName: name})
	if err != nil {
		return fmt.Errorf("terminate machine %s: %w", name, err)
	}
	err = c.client.get(ctx, id, nil)
	var failed *failedRequest
	switch {
	case err == nil, isGone(err), errors.Is(err, errCancelled):
		return nil // the listing decides
	case errors.As(err, &failed):
		if failed.Type == "ClusterDoesNotExist" {
			return nil
		}
		err := judged("terminate machine "+name, failed, nil)
		var typed *cloud.Error
		if errors.As(err, &typed) && typed.Kind != cloud.Access {
			typed.Kind = cloud.Transient // a machine that bills is tried again whatever the cloud says
		}
		return err
	}
	return fmt.Errorf("terminate machine %s: %w", name, err)
}

// Release deletes the security group of a cluster on AWS; on other clouds nothing is made for a cluster as a whole.
func (c *Cloud) Release(ctx context.Context, owner cloud.Owner) error {
	if owner.ClusterUID == "" {
		return nil
	}
	enabled, err := c.Enabled(ctx)
	if err != nil || !slices.Contains(enabled, "aws") {
		return err
	}
	err = c.deleteGroup(ctx, groupOf(owner))
	if err != nil && c.server == nil { // the account is the server's, and need not be open to us
		c.log.Warn("the security group of a cluster is left in the account of the SkyPilot API server", "group", groupOf(owner), "error", err)
		return nil
	}
	if err != nil {
		return awsFailed(fmt.Sprintf("delete the security group %s of cluster %s", groupOf(owner), owner.Cluster), err)
	}
	return nil
}

// openPorts lets the cluster's group take in the Kubernetes API and the ports that were asked for.
func (c *Cloud) openPorts(ctx context.Context, req cloud.LaunchRequest) error {
	const anywhere = "0.0.0.0/0"
	type openRule struct {
		Ports string `json:"ports"`
		CIDR  string `json:"cidr"`
	}
	from := req.Spec.APICIDR
	if from == "" {
		from = anywhere
	}
	var rules []openRule
	if !req.Placement.Tunnel {
		rules = append(rules, openRule{apiPort, from})
	}
	ranges, err := api.ParsePorts(req.Spec.Ports)
	if err != nil {
		return err
	}
	for _, r := range ranges {
		rules = append(rules, openRule{strings.ReplaceAll(r.String(), " ", ""), anywhere})
	}
	if len(rules) == 0 {
		return nil
	}
	question := struct {
		Op     string     `json:"op"`
		Region string     `json:"region"`
		Group  string     `json:"group"`
		Rules  []openRule `json:"rules"`
	}{"aws_open", req.Placement.Region, groupOf(req.Owner), rules}
	if err := c.bridge.askCloud(ctx, 0, question, nil); err != nil {
		return fmt.Errorf("open ports of cluster %s in security group %s: %w", req.Owner.Cluster, groupOf(req.Owner), err)
	}
	return nil
}
