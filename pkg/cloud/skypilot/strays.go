package skypilot

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// strays are machines that carry our labels on AWS while SkyPilot knows of none such: its state was lost, or it failed to
// clean up after itself. They bill all the same. A listing finds them, and a termination by name ends them.
type strays struct {
	mu    sync.Mutex
	found map[string]stray
}

// stray is a place's machines on AWS.
type stray struct {
	region string
	ids    []string
}

// awsName is the name of AWS in specs.
const awsName = "aws"

// instance is one on AWS, as the bridge lists it.
type instance struct {
	ID             string            `json:"id"`
	Region         string            `json:"region"`
	State          string            `json:"state"`
	Tags           map[string]string `json:"tags"`
	Address        string            `json:"address"`
	PrivateAddress string            `json:"private_address"`
}

func (i instance) name() string {
	index, err := strconv.Atoi(i.Tags[cloud.LabelIndex])
	if err != nil {
		return ""
	}
	return api.MachineName(i.Tags[cloud.LabelCluster], index)
}

// onAWS says whether AWS can be asked from here: an account of a remote server is the server's.
func (c *Cloud) onAWS(ctx context.Context) (bool, error) {
	if c.server == nil {
		return false, nil
	}
	enabled, err := c.Enabled(ctx)
	return slices.Contains(enabled, awsName), err
}

// findStrays lists the owner's machines on AWS that are not among those known.
func (c *Cloud) findStrays(ctx context.Context, owner cloud.Owner, known []cloud.Machine) ([]cloud.Machine, error) {
	there, err := c.onAWS(ctx)
	if err != nil || !there {
		return nil, err
	}
	all, err := c.instances(ctx, owner, "")
	if err != nil {
		return nil, err
	}
	var more []cloud.Machine
	c.strays.mu.Lock()
	defer c.strays.mu.Unlock()
	if c.strays.found == nil {
		c.strays.found = map[string]stray{}
	}
	for _, i := range all {
		name := i.name()
		if name == "" || slices.ContainsFunc(known, func(m cloud.Machine) bool { return m.Name == name }) {
			continue
		}
		m := machineOf(name, i.Tags)
		m.ID, m.Address, m.PrivateAddress, m.SSHPort, m.Cloud = i.ID, i.Address, i.PrivateAddress, 22, "aws"
		switch i.State {
		case "running":
			m.State = cloud.StateRunning
		case "stopping", "stopped":
			m.State = cloud.StateStopped
		}
		more = append(more, m)
		s := c.strays.found[name]
		s.region = i.Region
		if !slices.Contains(s.ids, i.ID) {
			s.ids = append(s.ids, i.ID)
		}
		c.strays.found[name] = s
	}
	return more, nil
}

// instances are the owner's on AWS, in one region or in all.
func (c *Cloud) instances(ctx context.Context, owner cloud.Owner, region string) ([]instance, error) {
	question := struct {
		Op      string            `json:"op"`
		Tags    map[string]string `json:"tags"`
		Regions []string          `json:"regions,omitempty"`
	}{Op: "aws_machines", Tags: map[string]string{cloud.LabelInstallation: owner.Installation}}
	if owner.ClusterUID != "" {
		question.Tags[cloud.LabelClusterUID] = owner.ClusterUID
	}
	if region != "" {
		question.Regions = []string{region}
	}
	var all []instance
	if err := c.bridge.askCloud(ctx, c.opts.CloudWithin, question, &all); err != nil {
		return nil, awsFailed("list the machines on AWS", err)
	}
	return all, nil
}

// endStray ends the target where a listing found it and SkyPilot does not know it.
func (c *Cloud) endStray(ctx context.Context, target cloud.Target) error {
	owner, name := target.Owner, target.Name
	c.strays.mu.Lock()
	s, ok := c.strays.found[name]
	c.strays.mu.Unlock()
	if !ok {
		return nil
	}
	for {
		all, err := c.instances(ctx, owner, s.region)
		if err != nil {
			return err
		}
		var left []string
		for _, i := range all {
			if i.name() != name || !slices.Contains(s.ids, i.ID) || target.ID != "" && i.ID != target.ID {
				continue
			}
			m := machineOf(name, i.Tags)
			m.ID = i.ID
			if err := target.Check(m); err != nil {
				return err
			}
			left = append(left, i.ID)
		}
		if len(left) == 0 {
			break
		}
		c.log.Warn("a machine that SkyPilot has forgotten is terminated", "machine", name, "instances", left)
		question := struct {
			Op     string   `json:"op"`
			Region string   `json:"region"`
			IDs    []string `json:"ids"`
		}{"aws_terminate", s.region, left}
		if err := c.bridge.askCloud(ctx, c.opts.CloudWithin, question, nil); err != nil {
			return awsFailed("terminate machine "+name, err)
		}
		if err := pause(ctx, time.Second); err != nil {
			return &cloud.Error{Kind: cloud.Transient, Cause: err, Message: fmt.Sprintf("terminate machine %s: AWS still lists %v", name, left)}
		}
	}
	c.strays.mu.Lock()
	delete(c.strays.found, name)
	c.strays.mu.Unlock()
	return nil
}

// awsFailed gives an error of AWS itself its kind.
func awsFailed(doing string, err error) error {
	failed, ok := isBridge(err)
	if !ok {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return judged(doing, &failedRequest{Type: "Error", Message: failed.Message}, nil)
}
