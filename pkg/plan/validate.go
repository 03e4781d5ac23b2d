package plan

import (
	"errors"
	"fmt"

	"github.com/sky-shift/skyctl/pkg/api"
)

// ValidateCluster checks that a cluster's record makes sense. skyctl does not change the machines of a cluster whose
// record does not, because the requested state is unknown. It checks only what Decide depends on, so that records of
// older releases pass. A cluster may have other machines than its spec requests: Decide plans how it gets those.
func ValidateCluster(c *api.Cluster) error {
	switch {
	case c == nil:
		return errors.New("there is no record")
	case !c.Status.Phase.IsKnown():
		return fmt.Errorf("status.phase is %q, which is not a phase", c.Status.Phase)
	case c.Spec.MachineCount() < 1 || c.Spec.MachineCount() > c.Spec.MaxNodes():
		return fmt.Errorf("the spec has %s; it should have from 1 to %d", api.FormatMachines(c.Spec.MachineCount()),
			c.Spec.MaxNodes())
	case c.Metadata.UID == "":
		return errors.New("metadata.uid is empty")
	}
	if err := api.ValidateStoredName(c.Metadata.Name); err != nil {
		return fmt.Errorf("metadata.name: %w", err)
	}
	for _, pool := range c.Spec.Pools {
		if pool.Replicas < 0 {
			return fmt.Errorf("pool %s of the spec has %d replicas", pool.Name, pool.Replicas)
		}
	}
	taken := map[int]bool{}
	for i := range c.Status.Machines {
		m := &c.Status.Machines[i]
		if taken[m.Index] {
			return fmt.Errorf("two machines have the index %d", m.Index)
		}
		taken[m.Index] = true
		if err := validateMachine(c, m); err != nil {
			return err
		}
	}
	for i := range c.Status.Repairs {
		if r := &c.Status.Repairs[i]; r.At.IsZero() || r.ID == "" {
			return fmt.Errorf("repair %d has no id or no start time", i)
		}
	}
	if err := validateServers(c); err != nil {
		return err
	}
	if c.Status.Phase == api.PhaseReady && c.Status.Placement == nil {
		return errors.New("the cluster is READY but has no placement")
	}
	return nil
}

func validateMachine(c *api.Cluster, m *api.Machine) error {
	name := api.MachineName(c.Metadata.Name, m.Index)
	switch {
	case m.Index < 0:
		return fmt.Errorf("machine index %d is out of range", m.Index)
	case m.Name != name:
		return fmt.Errorf("the machine with index %d is named %q instead of %q", m.Index, m.Name, name)
	case m.Index >= c.Status.NextIndex && c.Status.Phase == api.PhaseReady: // a create records it after the machines
		return fmt.Errorf("machine %s has the index %d, and status.next_index is %d, which should be higher", m.Name,
			m.Index, c.Status.NextIndex)
	case m.Role == api.RoleHead && m.Pool != "":
		return fmt.Errorf("machine %s is the head and has the pool %q", m.Name, m.Pool)
	case m.Role != api.RoleHead && m.Role != api.RoleWorker:
		return fmt.Errorf("machine %s has the unknown role %q", m.Name, m.Role)
	case m.Incarnation == "":
		return fmt.Errorf("machine %s has no incarnation", m.Name)
	case m.NodeName != api.NodeName(c.Metadata.Name, m.Index, m.Incarnation):
		return fmt.Errorf("machine %s has the Node %q, which is not that of incarnation %s", m.Name, m.NodeName,
			m.Incarnation)
	}
	switch m.State {
	case api.MachineReserved, api.MachineLaunching, api.MachineUp, api.MachinePrepared, api.MachineReady,
		api.MachineTerminating, api.MachineGone:
		return nil
	}
	return fmt.Errorf("machine %s has the unknown state %q", m.Name, m.State)
}

// validateServers checks that one machine at most has the role of the head, and that a READY cluster has one.
func validateServers(c *api.Cluster) error {
	head := ""
	for i := range c.Status.Machines {
		switch m := &c.Status.Machines[i]; {
		case m.Role != api.RoleHead:
		case head != "":
			return fmt.Errorf("machines %s and %s both have the role %q", head, m.Name, api.RoleHead)
		default:
			head = m.Name
		}
	}
	if head == "" && c.Status.Phase == api.PhaseReady {
		return fmt.Errorf("the cluster is READY but no machine has the role %q", api.RoleHead)
	}
	return nil
}
