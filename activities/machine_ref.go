package activities

import (
	"context"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

// MachineRef names one incarnation of a cluster's machine.
type MachineRef struct {
	Cluster     api.Ref  `json:"cluster"`
	Index       int      `json:"index"`
	Name        string   `json:"name"`
	Incarnation string   `json:"incarnation"`
	NodeName    string   `json:"node_name"`
	Role        api.Role `json:"role"`
	// Pool is the pool of a worker. Older histories lack it.
	Pool string `json:"pool,omitempty"`
}

// ReadCluster reads a cluster with its machines. If another cluster has the name now, the error is a
// *store.NotFoundError.
func ReadCluster(ctx context.Context, s *store.Store, ref api.Ref) (*api.Cluster, error) {
	c, err := s.ReadCluster(ctx, ref.Name)
	if err == nil && c.Metadata.UID != ref.UID {
		return nil, &store.NotFoundError{Cluster: ref.Name}
	}
	return c, err
}

// ReadMachine reads the cluster of a machine, with its control plane and the machine as its only machines, and the
// machine's record in it. If another incarnation has its index, the error is a *store.StaleError. What it reads does
// not grow with the cluster.
func ReadMachine(ctx context.Context, s *store.Store, m MachineRef) (*api.Cluster, *api.Machine, error) {
	c, err := s.ReadClusterPart(ctx, m.Cluster, m.Index)
	if err != nil {
		return nil, nil, err
	}
	record, err := FindMachineRecord(c, m)
	return c, record, err
}

// MachineRefOf returns the reference to a cluster's machine.
func MachineRefOf(cluster api.Ref, m api.Machine) MachineRef {
	return MachineRef{Cluster: cluster, Index: m.Index, Name: m.Name, Incarnation: m.Incarnation, NodeName: m.NodeName,
		Role: m.Role, Pool: m.PoolName()}
}

// FindMachineRecord returns the record of an incarnation. If another incarnation has its index, the error is a
// *store.StaleError.
func FindMachineRecord(c *api.Cluster, m MachineRef) (*api.Machine, error) {
	current := "none"
	for i := range c.Status.Machines {
		r := &c.Status.Machines[i]
		if r.Index != m.Index {
			continue
		}
		if r.Incarnation == m.Incarnation {
			return r, nil
		}
		current = r.Incarnation
	}
	return nil, &store.StaleError{Machine: m.Name, Incarnation: m.Incarnation, Current: current}
}
