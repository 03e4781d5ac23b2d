// Package access is people's way to the machines of clusters: it finds the machines that a person names, logs in with
// the key and the host key on record, runs commands on them, copies files and reads logs.
//
// The key stays in memory. Each use is recorded as an event of the cluster, without the text of commands.
package access

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/spelling"
	"github.com/sky-shift/skyctl/pkg/store"
)

// Selection says which machines of a cluster are meant. The zero value is the head alone.
type Selection struct {
	All bool
	// Pools are the names of pools, and Machines those of machines.
	Pools, Machines []string
}

// IsSeveral reports whether the selection can contain several machines.
func (s Selection) IsSeveral() bool { return s.All || len(s.Pools) > 0 || len(s.Machines) > 0 }

// ClusterReader reads clusters from the store.
type ClusterReader interface {
	ReadCluster(ctx context.Context, name string) (*api.Cluster, error)
	ListClustersWithMachines(ctx context.Context) ([]api.Cluster, error)
}

// Target is a machine of a cluster.
type Target struct {
	Cluster *api.Cluster
	Machine api.Machine
}

// The words that say which kind a name has, as in get cluster/NAME.
var (
	clusterWords = []string{"cluster", "clusters", "cl"}
	machineWords = []string{"machine", "machines", "mc"}
)

// FindCluster reads the cluster that a name means: its own name, or that of one of its machines. machine is then the
// record of that machine; else it is nil. A name of nothing is an *UnknownError.
func FindCluster(ctx context.Context, r ClusterReader, name string) (c *api.Cluster, machine *api.Machine, err error) {
	kind, rest, qualified := strings.Cut(name, "/")
	maybeCluster, maybeMachine := true, true
	if qualified {
		maybeCluster, maybeMachine = slices.Contains(clusterWords, kind), slices.Contains(machineWords, kind)
		if name = rest; !maybeCluster && !maybeMachine {
			return nil, nil, &api.FieldError{Field: "name", Value: kind + "/" + rest,
				Want: "the name of a cluster or of a machine; cluster/NAME and machine/NAME say which of them"}
		}
	}
	if maybeCluster {
		if c, err := readKnownCluster(ctx, r, name); err != nil || c != nil {
			return c, nil, err
		}
	}
	if of, _, ok := api.ParseMachineName(name); ok && maybeMachine {
		c, err := readKnownCluster(ctx, r, of)
		if err != nil {
			return nil, nil, err
		}
		if c != nil {
			if m := c.FindMachine(name); m != nil {
				return c, m, nil
			}
		}
	}
	all, _ := r.ListClustersWithMachines(ctx) // for suggestions: unreadable clusters are left out
	return nil, nil, newUnknownError(name, maybeCluster, maybeMachine, all)
}

// readKnownCluster returns nil if there is no such cluster.
func readKnownCluster(ctx context.Context, r ClusterReader, name string) (*api.Cluster, error) {
	if api.ValidateStoredName(name) != nil {
		return nil, nil
	}
	c, err := r.ReadCluster(ctx, name)
	if missing := new(store.NotFoundError); errors.As(err, &missing) {
		return nil, nil
	}
	return c, err
}

func newUnknownError(name string, maybeCluster, maybeMachine bool, all []api.Cluster) *UnknownError {
	var known []string
	for i := range all {
		if maybeCluster {
			known = append(known, all[i].Metadata.Name)
		}
		for _, m := range all[i].Status.Machines {
			if maybeMachine {
				known = append(known, m.Name)
			}
		}
	}
	what := "cluster or machine"
	switch {
	case !maybeMachine:
		what = "cluster"
	case !maybeCluster:
		what = "machine"
	}
	return &UnknownError{What: what, Name: name, Near: spelling.FindNearest(name, known)}
}

// SelectTargets returns the machines of a cluster that a selection means, in the order of their index, with those that
// cannot be reached; Target.CheckReachable tells. The selection of nothing is an *UnknownError or a *NoMachinesError.
func SelectTargets(c *api.Cluster, s Selection) ([]Target, error) {
	if err := checkSelection(c, s); err != nil {
		return nil, err
	}
	var targets []Target
	for _, m := range c.Status.Machines {
		switch {
		case !m.State.MayExist():
			continue
		case !s.IsSeveral() && m.Role != api.RoleHead:
			continue
		case s.IsSeveral() && !s.All && !slices.Contains(s.Pools, m.PoolName()) && !slices.Contains(s.Machines, m.Name):
			continue
		}
		targets = append(targets, Target{c, m})
	}
	slices.SortFunc(targets, func(a, b Target) int { return cmp.Compare(a.Machine.Index, b.Machine.Index) })
	if len(targets) == 0 {
		return nil, &NoMachinesError{Cluster: c.Metadata.Name, Phase: c.Status.Phase, Pools: s.Pools}
	}
	if !s.IsSeveral() {
		return []Target{preferReachable(targets)}, nil
	}
	return targets, nil
}

// preferReachable returns the first of several servers that can be reached, or the first one.
func preferReachable(servers []Target) Target {
	for _, t := range servers {
		if t.CheckReachable() == nil && t.Machine.State == api.MachineReady {
			return t
		}
	}
	return servers[0]
}

// checkSelection finds names of pools and machines that do not exist.
func checkSelection(c *api.Cluster, s Selection) error {
	var pools, machines []string
	for _, p := range c.Spec.Pools {
		pools = append(pools, p.Name)
	}
	for _, m := range c.Status.Machines {
		machines = append(machines, m.Name)
		if name := m.PoolName(); name != "" && !slices.Contains(pools, name) {
			pools = append(pools, name)
		}
	}
	for _, name := range s.Pools {
		if !slices.Contains(pools, name) {
			return &UnknownError{What: "pool", Name: name, Cluster: c.Metadata.Name,
				Near: spelling.FindNearest(name, pools)}
		}
	}
	for _, name := range s.Machines {
		if !slices.Contains(machines, name) {
			return &UnknownError{What: "machine", Name: name, Cluster: c.Metadata.Name,
				Near: spelling.FindNearest(name, machines)}
		}
	}
	return nil
}

// CheckReachable returns a *NotReachableError if the machine cannot accept a login yet, or any more.
func (t Target) CheckReachable() error {
	if m := t.Machine; m.Address == "" || m.HostKey == "" || !m.State.MayExist() {
		return &NotReachableError{Machine: m.Name, State: m.State, Step: m.Step}
	}
	return nil
}
