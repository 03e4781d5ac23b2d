package api

import (
	"fmt"
	"slices"
)

// Head returns the head's machine.
func (c *Cluster) Head() (*Machine, error) {
	for i := range c.Status.Machines {
		if c.Status.Machines[i].Role == RoleHead {
			return &c.Status.Machines[i], nil
		}
	}
	return nil, fmt.Errorf("cluster %s has no head", c.Metadata.Name)
}

// CloudName returns the cloud that the cluster's machines are requested from.
func (c *Cluster) CloudName() string {
	if c.Spec.Cloud == "" && c.Status.Placement != nil {
		return c.Status.Placement.Cloud
	}
	return c.Spec.Cloud
}

// CloudNames returns the clouds on which the cluster has, or once had, machines. It may name one twice.
func (c *Cluster) CloudNames() []string {
	names := []string{c.CloudName()}
	for _, attempt := range c.Status.Attempts {
		names = append(names, attempt.Placement.Cloud)
	}
	for _, m := range c.Status.Machines {
		names = append(names, m.Placement.Cloud)
	}
	if c.Status.Placement != nil {
		names = append(names, c.Status.Placement.Cloud)
	}
	return names
}

// AnyMachineMayExist reports whether one of the machines may exist on its cloud.
func AnyMachineMayExist(machines []Machine) bool {
	return slices.ContainsFunc(machines, func(m Machine) bool { return m.State.MayExist() })
}
