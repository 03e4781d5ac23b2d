package api

import (
	"slices"
	"time"
)

// ChangeTo changes the spec and the labels of a cluster that exists to others. Its errors are *FieldErrors, joined:
// those of an invalid spec, and one for each field that never changes. Pools that are new are created, and those that
// are gone are deleted; their machines leave.
func (c *Cluster) ChangeTo(spec ClusterSpec, labels map[string]string, now time.Time) error {
	wanted := &Cluster{Metadata: c.Metadata, Spec: spec.Clone()}
	wanted.Metadata.Labels = labels
	if c.Spec.HasAccelerators() && !wanted.Spec.HasAccelerators() {
		wanted.Spec.GPUStack, wanted.Spec.GPUTaint = "", false // they are for accelerators
	}
	wanted.Spec.SetDefaults()
	var errs fieldErrors
	for _, d := range CompareClusters(c, wanted) {
		if d.Change.Way == ChangeNever {
			errs.addError(newFixedFieldError(d))
		}
	}
	validateLabels(labels, &errs)
	errs.addError(wanted.Spec.Validate())
	created := slices.DeleteFunc(wanted.Spec.Clone().Pools, func(p Pool) bool { return c.Spec.FindPool(p.Name) != nil })
	for _, p := range created {
		errs.addError(c.refusePoolName(p.Name))
	}
	if err := errs.joinErrors(); err != nil {
		return err
	}
	c.recordMachines(wanted.Spec)
	for _, p := range c.Spec.Pools {
		if wanted.Spec.FindPool(p.Name) == nil {
			c.recordPoolDeleted(p.Name)
		}
	}
	for _, p := range created {
		c.recordPoolCreated(p.Name, now)
	}
	c.Spec, c.Metadata.Labels = wanted.Spec, labels
	return nil
}

// newFixedFieldError says why a field cannot change, and what to do instead.
func newFixedFieldError(d FieldDifference) error {
	return &FieldError{Field: d.Path, Value: d.After,
		Want: valueOrUnset(d.Before) + ", as it is: " + d.Change.Why + "; " + d.Change.Instead}
}

// recordMachines records with which machine spec the machines of older records were launched, and what their Nodes
// have, before their pools get something else.
func (c *Cluster) recordMachines(wanted ClusterSpec) {
	after := &Cluster{Metadata: c.Metadata, Spec: wanted}
	for i := range c.Status.Machines {
		m := &c.Status.Machines[i]
		pool := c.Spec.FindPool(m.PoolName())
		if pool == nil {
			continue
		}
		given := c.GivenNodeSettings(*m)
		if m.Node == nil && given.DescribeChange(after.GivenNodeSettings(*m)) != "" {
			m.Node = &given
		}
		if next := wanted.FindPool(pool.Name); m.Spec == nil && next != nil && next.Machine != pool.Machine {
			spec := pool.Machine
			m.Spec = &spec
		}
	}
}
