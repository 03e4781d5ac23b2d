// Package simcloud is a cloud in the test's process: its machines are real SSH servers that run real scripts. Tests
// make it refuse, hang, lag and lie at a chosen point. Only the part behind the cloud's API is simulated: callers use
// the same protocols as with any other cloud.
package simcloud

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// Name is the name of this cloud in specs and placements.
const Name = "sim"

// idFormat is the format of the ids of machines.
const idFormat = "i-%04d"

// Cloud implements cloud.Cloud. Close terminates all its machines.
type Cloud struct {
	placements []api.Placement

	mu       sync.Mutex
	machines []*machine // including terminated machines; oldest first
	faults   []*Fault
	lag      time.Duration
	next     int
	defects  map[string]*machineDefects // by the name of the machine
	released map[string]int             // by cluster UID
}

var _ cloud.Cloud = (*Cloud)(nil)

// machine is a machine that was launched.
type machine struct {
	cloud.Machine
	region string
	host   *host // nil for a planted one
	goneAt time.Time
	ghost  time.Duration // how long it remains listed after that
	hidden bool          // the list lacks it although it runs
	// survives: it goes on running when it is terminated, and is hidden then.
	survives bool
}

func (m *machine) isGone() bool { return !m.goneAt.IsZero() }

// RegionPlacement is a placement of this cloud that is named after its region only.
func RegionPlacement(name string) api.Placement {
	return api.Placement{Cloud: Name, Region: name, InstanceType: "s2", CPUs: 2, MemoryGiB: 4}
}

// New creates a cloud with placements, cheapest first.
func New(placements ...api.Placement) *Cloud {
	return &Cloud{placements: placements, defects: map[string]*machineDefects{}, released: map[string]int{}}
}

// Close terminates all machines.
func (c *Cloud) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.machines {
		if m.host != nil {
			m.host.tearDown()
		}
	}
}

// ValidateSpec refuses a region that no placement has.
func (c *Cloud) ValidateSpec(ctx context.Context, spec api.GroupSpec) error {
	if err := c.meetFault(ctx, OpValidate, spec.Region, ""); err != nil {
		return err
	}
	if len(c.placementsIn(spec.Region)) == 0 {
		return &api.FieldError{Field: "region", Value: spec.Region, Want: "a region of the simulated cloud"}
	}
	return nil
}

// RankPlacements returns the placements, or those of the region that the spec names.
func (c *Cloud) RankPlacements(ctx context.Context, spec api.GroupSpec, _ api.Neighbors) ([]api.Placement, error) {
	if err := c.meetFault(ctx, OpPlan, spec.Region, ""); err != nil {
		return nil, err
	}
	return c.placementsIn(spec.Region), nil
}

func (c *Cloud) placementsIn(region string) []api.Placement {
	return slices.DeleteFunc(slices.Clone(c.placements),
		func(p api.Placement) bool { return region != "" && p.Region != region })
}

// SubmitLaunch launches a machine, or refers to the existing one.
func (c *Cloud) SubmitLaunch(ctx context.Context, req cloud.LaunchRequest) (string, error) {
	if err := c.meetFault(ctx, OpSubmit, req.Placement.Region, req.Name); err != nil {
		return "", err
	}
	id, err := c.launchMachine(req)
	if err != nil {
		return "", err
	}
	return id, c.meetFault(ctx, OpSubmitted, req.Placement.Region, req.Name)
}

func (c *Cloud) launchMachine(req cloud.LaunchRequest) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := cmp.Or(c.findLaunched(req), c.findMachine(req.Name)); m != nil && !m.hidden {
		if m.Owner != req.Owner || m.Incarnation != req.Incarnation {
			return "", &cloud.Error{Kind: cloud.Conflict, Message: fmt.Sprintf(
				"launch machine %s: %s of that name is another's (%s/%s, incarnation %s)", req.Name, m.ID,
				m.Owner.Installation, m.Owner.Cluster, m.Incarnation)}
		}
		return m.ID, nil
	}
	c.next++
	m := &machine{region: req.Placement.Region, Machine: cloud.Machine{
		Owner: req.Owner, Name: req.Name, Index: req.Index, Incarnation: req.Incarnation,
		ID:    fmt.Sprintf(idFormat, c.next),
		State: cloud.StateRunning, SSHUser: "root", CreatedAt: time.Now(), CPUs: req.Placement.CPUs,
		MemoryGiB: req.Placement.MemoryGiB, Cloud: Name,
	}}
	h, err := bootHost(req, *c.defectsOf(req.Name), func() []*host { return c.hostsOf(req.Owner) })
	if err != nil {
		return "", err
	}
	m.host = h
	m.Address, m.PrivateAddress, m.SSHPort, m.HostKey = cmp.Or(h.outer,
		h.address), h.address, h.sshd.Target.Port, h.hostKey
	c.machines = append(c.machines, m)
	return m.ID, nil
}

// AwaitLaunch returns the machine of a launch.
func (c *Cloud) AwaitLaunch(ctx context.Context, req cloud.LaunchRequest, ref string,
	progress func(string)) (cloud.Machine, error) {
	progress("booting")
	if err := c.meetFault(ctx, OpAwait, req.Placement.Region, req.Name); err != nil {
		return cloud.Machine{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.machines, func(m *machine) bool { return m.ID == ref && !m.isGone() })
	if i < 0 {
		return cloud.Machine{}, &cloud.Error{Kind: cloud.Transient,
			Message: fmt.Sprintf("machine %s (%s) is not there", req.Name, ref)}
	}
	return c.machines[i].Machine, nil
}

// CancelLaunch only applies faults: launches are quick, and a call that hangs ends with its caller.
func (c *Cloud) CancelLaunch(ctx context.Context, _ string) error {
	return c.meetFault(ctx, OpCancel, "", "")
}

// ListMachines returns the owner's machines, out of date by the lag. A fault with a *cloud.PartialError leaves out only
// the machines of its clouds.
func (c *Cloud) ListMachines(ctx context.Context, owner cloud.Owner) ([]cloud.Machine, error) {
	err := c.meetFault(ctx, OpList, "", "")
	partial := new(cloud.PartialError)
	if err != nil && !errors.As(err, &partial) {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	then := time.Now().Add(-c.lag)
	var all []cloud.Machine
	for _, m := range c.machines {
		owns := m.Owner.Installation == owner.Installation &&
			(owner.ClusterUID == "" || m.Owner.ClusterUID == owner.ClusterUID)
		if owns && !m.hidden && !m.CreatedAt.After(then) && (!m.isGone() || m.goneAt.Add(m.ghost).After(then)) {
			all = append(all, m.Machine)
			if partial.Clouds[m.Cloud] != nil {
				all[len(all)-1].State = cloud.StateUnknown
			}
		}
	}
	return all, err
}

// TerminateMachine terminates a machine and returns once ListMachines no longer returns it.
func (c *Cloud) TerminateMachine(ctx context.Context, target cloud.Target) error {
	if err := c.meetFault(ctx, OpTerminate, "", target.Name); err != nil {
		return err
	}
	if err := c.terminateTarget(target); err != nil {
		return err
	}
	for {
		left, err := c.ListMachines(ctx, target.Owner)
		if partial := new(cloud.PartialError); err != nil &&
			(!errors.As(err, &partial) || partial.Clouds[Name] != nil) {
			return err
		}
		if listed, err := target.FindMachine(left); err != nil || listed == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("terminate machine %s: %w", target.Name, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// terminateTarget terminates the target, if it exists.
func (c *Cloud) terminateTarget(target cloud.Target) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, err := c.findTarget(target)
	if err != nil || m == nil {
		return err
	}
	if m.survives {
		m.hidden = true
		return nil
	}
	if m.host != nil {
		m.host.tearDown()
	}
	m.goneAt = time.Now()
	return nil
}

// findTarget returns the machine that has the target's name and labels now, or nil.
func (c *Cloud) findTarget(target cloud.Target) (*machine, error) {
	var all []cloud.Machine
	for _, m := range c.machines {
		if !m.isGone() {
			all = append(all, m.Machine)
		}
	}
	found, err := target.FindMachine(all)
	if err != nil || found == nil {
		return nil, err
	}
	return c.machines[slices.IndexFunc(c.machines, func(m *machine) bool { return m.ID == found.ID })], nil
}

// RemoveClusterResources only counts its calls.
func (c *Cloud) RemoveClusterResources(ctx context.Context, owner cloud.Owner) error {
	if err := c.meetFault(ctx, OpRelease, "", ""); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.released[owner.ClusterUID]++
	return nil
}

// findMachine returns the machine that currently has a name. One that is hidden does not keep others from having it.
func (c *Cloud) findMachine(name string) *machine {
	var found *machine
	for _, m := range c.machines {
		if m.Name == name && !m.isGone() && (found == nil || found.hidden) {
			found = m
		}
	}
	return found
}

// findLaunched returns the machine of a launch, beside which one of the same name may have come back.
func (c *Cloud) findLaunched(req cloud.LaunchRequest) *machine {
	for _, m := range c.machines {
		if m.Name == req.Name && m.Owner == req.Owner && m.Incarnation == req.Incarnation && !m.isGone() && !m.hidden {
			return m
		}
	}
	return nil
}

func (c *Cloud) hostsOf(owner cloud.Owner) []*host {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*host
	for _, m := range c.machines {
		if m.Owner == owner && !m.isGone() && m.host != nil {
			all = append(all, m.host)
		}
	}
	return all
}

// ExistingMachines returns all machines whose names have a prefix, whatever ListMachines returns.
func (c *Cloud) ExistingMachines(prefix string) []cloud.Machine {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []cloud.Machine
	for _, m := range c.machines {
		if !m.isGone() && strings.HasPrefix(m.Name, prefix) {
			all = append(all, m.Machine)
		}
	}
	return all
}

// CountLaunches counts all launches of machines whose names have a prefix, in a region if one is given.
func (c *Cloud) CountLaunches(prefix, region string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, m := range c.machines {
		if strings.HasPrefix(m.Name, prefix) && (region == "" || m.region == region) {
			n++
		}
	}
	return n
}

// LaunchedMachines returns all machines with a host that were ever there, in the order of their launches.
func (c *Cloud) LaunchedMachines() []cloud.Machine {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []cloud.Machine
	for _, m := range c.machines {
		if m.host != nil {
			all = append(all, m.Machine)
		}
	}
	return all
}

// CountReleases returns how often RemoveClusterResources was called for a cluster.
func (c *Cloud) CountReleases(uid string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.released[uid]
}
