// Package scriptedcloud is a cloud of many machines in one process, for measurements. Its machines speak real SSH and
// serve a real Kubernetes API, and answer skyctl's scripts after fixed delays, without running them: a thousand
// machines cost little. The machines of test/simcloud run the scripts.
package scriptedcloud

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/test/simcloud"
)

// Delays are how long each part of the way of a machine to a Ready Node takes. Server is that of a head, Join that of a
// worker.
type Delays struct {
	Boot, Install, Server, Join, Node time.Duration
}

// Cloud implements cloud.Cloud. Close ends its machines.
type Cloud struct {
	delays  Delays
	network int // the second byte of the addresses

	mu       sync.Mutex
	launched int
	machines map[string]*machine // by name
	clusters map[string]*cluster // by cluster UID
}

var _ interface {
	cloud.Cloud
	cloud.Starter
} = (*Cloud)(nil)

// New creates a cloud without machines.
func New(d Delays) *Cloud {
	return &Cloud{delays: d, network: 192 + rand.IntN(63), machines: map[string]*machine{},
		clusters: map[string]*cluster{}}
}

// Close ends all machines.
func (c *Cloud) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.machines {
		m.stop()
	}
}

// ValidateSpec accepts every spec.
func (c *Cloud) ValidateSpec(context.Context, api.GroupSpec) error { return nil }

// RankPlacements returns the only placement.
func (c *Cloud) RankPlacements(context.Context, api.GroupSpec, api.Neighbors) ([]api.Placement, error) {
	return []api.Placement{simcloud.RegionPlacement("here")}, nil
}

// SubmitLaunch starts to boot a machine, or refers to the one that has the name.
func (c *Cloud) SubmitLaunch(_ context.Context, req cloud.LaunchRequest) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.machines[req.Name]; m != nil {
		if m.Owner != req.Owner || m.Incarnation != req.Incarnation {
			return "", &cloud.Error{Kind: cloud.Conflict, Message: "another machine has the name " + req.Name}
		}
		return m.ID, nil
	}
	of := c.clusters[req.Owner.ClusterUID]
	if of == nil {
		of = newCluster()
		c.clusters[req.Owner.ClusterUID] = of
	}
	m := &machine{delays: c.delays, req: req, cluster: of, up: make(chan struct{}), Machine: cloud.Machine{
		Owner: req.Owner, Name: req.Name, Index: req.Index, Incarnation: req.Incarnation, State: cloud.StateRunning,
		ID: fmt.Sprintf("i-%d", c.launched), SSHUser: "root", CreatedAt: time.Now(), CPUs: req.Placement.CPUs,
		MemoryGiB: req.Placement.MemoryGiB, Cloud: simcloud.Name,
	}}
	m.Address = fmt.Sprintf("127.%d.%d.%d", c.network, c.launched/250, c.launched%250+1)
	m.PrivateAddress = m.Address
	c.launched++
	c.machines[req.Name] = m
	go m.boot()
	return m.ID, nil
}

// AwaitLaunch returns a machine that has booted.
func (c *Cloud) AwaitLaunch(ctx context.Context, req cloud.LaunchRequest, _ string,
	progress func(string)) (cloud.Machine, error) {
	progress("booting")
	c.mu.Lock()
	m := c.machines[req.Name]
	c.mu.Unlock()
	if m == nil {
		return cloud.Machine{}, &cloud.Error{Kind: cloud.Transient, Message: "no machine " + req.Name}
	}
	select {
	case <-m.up:
		return m.Machine, m.bootError
	case <-ctx.Done():
		return cloud.Machine{}, fmt.Errorf("wait for machine %s: %w", req.Name, ctx.Err())
	}
}

// CancelLaunch does nothing: TerminateMachine ends a machine that boots.
func (c *Cloud) CancelLaunch(context.Context, string) error { return nil }

// ListMachines returns the owner's machines that have booted.
func (c *Cloud) ListMachines(_ context.Context, owner cloud.Owner) ([]cloud.Machine, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []cloud.Machine
	for _, m := range c.machines {
		if m.isUp() && m.Owner.Installation == owner.Installation &&
			(owner.ClusterUID == "" || m.Owner.ClusterUID == owner.ClusterUID) {
			all = append(all, m.Machine)
		}
	}
	return all, nil
}

// TerminateMachine ends a machine.
func (c *Cloud) TerminateMachine(_ context.Context, target cloud.Target) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.machines[target.Name]
	if m == nil || m.Owner != target.Owner || target.Incarnation != "" && m.Incarnation != target.Incarnation {
		return nil
	}
	m.stop()
	delete(c.machines, target.Name)
	return nil
}

// RemoveClusterResources forgets the cluster.
func (c *Cloud) RemoveClusterResources(_ context.Context, owner cloud.Owner) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.clusters, owner.ClusterUID)
	return nil
}

// StartMachine fails: no machine is ever stopped.
func (c *Cloud) StartMachine(context.Context, cloud.Target, string) (cloud.Machine, error) {
	return cloud.Machine{}, errors.ErrUnsupported
}
