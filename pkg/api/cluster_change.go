package api

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ParseMachineName takes the name of a machine apart, sky-<cluster>-<index>.
func ParseMachineName(name string) (cluster string, index int, ok bool) {
	rest, ok := strings.CutPrefix(name, "sky-")
	cut := strings.LastIndexByte(rest, '-')
	if !ok || cut <= 0 {
		return "", 0, false
	}
	index, err := strconv.Atoi(rest[cut+1:])
	if err != nil || MachineName(rest[:cut], index) != name {
		return "", 0, false
	}
	return rest[:cut], index, true
}

// FindMachine returns the record of the machine with a name; nil if there is none.
func (c *Cluster) FindMachine(name string) *Machine {
	i := slices.IndexFunc(c.Status.Machines, func(m Machine) bool { return m.Name == name })
	if i < 0 {
		return nil
	}
	return &c.Status.Machines[i]
}

// RefuseSpecChange says why the spec cannot change now; empty if it can. A change during a create or a restore is
// recorded, and carried out once that has ended; a change of a stopped cluster counts once it is started. In ERROR it
// can change only if a repair can continue: else nothing works towards it, and the machines may be gone.
func (c *Cluster) RefuseSpecChange() string {
	name := c.Metadata.Name
	switch {
	case c.Status.Phase == PhaseDeleting:
		return "it is being deleted"
	case c.Status.Phase == PhaseError && c.Status.Restore != nil:
		return "its restore failed. To go on with it: skyctl restore cluster " + name + " --snapshot " +
			c.Status.Restore.Snapshot
	case c.hasFailedCreate() && c.Metadata.CreatedByApply:
		return "its create failed. Apply the file as it was, or delete the cluster: skyctl delete cluster " + name
	case c.hasFailedCreate():
		return "its create failed. Run the same create again, or delete it: skyctl delete cluster " + name
	case c.Status.Phase == PhaseError && c.Status.Failure != nil && c.Status.Failure.Reason == string(DriftHeadLost):
		return "its head is lost, so it cannot change. To restore it: skyctl restore cluster " + name +
			" --snapshot NAME; to delete it: skyctl delete cluster " + name
	}
	return ""
}

// hasFailedCreate reports whether a create failed so that only the same create goes on with the cluster.
func (c *Cluster) hasFailedCreate() bool {
	return c.Status.Phase == PhaseError && c.Status.Restore == nil && !c.Status.CanBeRepaired()
}

// CreatePool adds a pool. Its errors are *FieldErrors, joined.
func (c *Cluster) CreatePool(p Pool, now time.Time) error {
	if c.Spec.FindPool(p.Name) == nil {
		if err := c.refusePoolName(p.Name); err != nil {
			return err
		}
	}
	if err := c.Spec.AddPool(p); err != nil {
		return err
	}
	c.recordPoolCreated(p.Name, now)
	return nil
}

// refusePoolName refuses the name of a new pool while machines of a deleted pool with this name are left. Its error is
// a *FieldError.
func (c *Cluster) refusePoolName(name string) error {
	if !slices.ContainsFunc(c.Status.Machines, func(m Machine) bool { return m.PoolName() == name }) {
		return nil
	}
	return &FieldError{Field: "pool", Value: name, Want: "another name until the machines of the deleted pool " +
		"with this name are gone: skyctl get machines " + c.Metadata.Name}
}

// recordPoolCreated records in the status that the spec has a new pool.
func (c *Cluster) recordPoolCreated(name string, now time.Time) {
	c.forgetPoolStatus(name)
	c.Status.Pools = append(c.Status.Pools, PoolStatus{Name: name, CreatedAt: now.UTC()})
}

// DeletePool removes a pool; its machines leave the cluster. Its error is a *FieldError.
func (c *Cluster) DeletePool(name string) error {
	if err := c.Spec.RemovePool(name); err != nil {
		return err
	}
	c.recordPoolDeleted(name)
	return nil
}

// recordPoolDeleted records in the status that the spec has lost a pool: its machines leave.
func (c *Cluster) recordPoolDeleted(name string) {
	c.forgetPoolStatus(name)
	for i := range c.Status.Machines {
		if m := &c.Status.Machines[i]; m.PoolName() == name && m.Leaving == "" {
			m.Leaving = LeavePoolDeleted
		}
	}
}

func (c *Cluster) forgetPoolStatus(name string) {
	c.Status.Pools = slices.DeleteFunc(c.Status.Pools, func(s PoolStatus) bool { return s.Name == name })
}

// IsLastPoolWithWorkers reports whether the other pools request no machines, so that only servers would be left.
func (s ClusterSpec) IsLastPoolWithWorkers(name string) bool {
	p := s.FindPool(name)
	return p != nil && p.Replicas > 0 && s.MachineCount() == s.ControlPlane.Replicas+p.Replicas
}

// DeleteMachine makes a worker leave, and its pool smaller by one. A machine that leaves already does not change
// anything. Its error is a *FieldError.
func (c *Cluster) DeleteMachine(name string) error {
	m, err := c.findWorker(name, "the cluster does not work without it")
	if err != nil || m.Leaving != "" {
		return err
	}
	if p := c.Spec.FindPool(m.PoolName()); p != nil && p.Replicas > 0 { // of a pool without replicas, all leave
		if p.Replicas <= p.MinReplicas {
			return &FieldError{Field: "machine", Value: name,
				Want: fmt.Sprintf("no machine of pool %s: the pool has %d, "+
					"and its min_replicas are %d. To get another machine in its place: skyctl replace machine %s",
					p.Name, p.Replicas, p.MinReplicas, name)}
		}
		p.Replicas--
	}
	m.Leaving, m.ReplaceAsked = LeaveDeleted, false
	return nil
}

// ReplaceMachine asks for another machine in place of a worker. Its error is a *FieldError.
func (c *Cluster) ReplaceMachine(name string) error {
	m, err := c.findWorker(name, "its state would be lost with it")
	if err != nil {
		return err
	}
	if m.Leaving != "" {
		return &FieldError{Field: "machine", Value: name,
			Want: fmt.Sprintf("a machine that stays: this one leaves the cluster (%s)", m.Leaving)}
	}
	m.ReplaceAsked = true
	return nil
}

// findWorker returns the record of a worker. It refuses a server, and says what would follow.
func (c *Cluster) findWorker(name, consequence string) (*Machine, error) {
	m := c.FindMachine(name)
	switch {
	case m == nil:
		return nil, &FieldError{Field: "machine", Value: name, Want: "a machine of the cluster: skyctl get machines " +
			c.Metadata.Name + " lists them"}
	case c.Status.Phase == PhaseStopped:
		return nil, &FieldError{Field: "machine", Value: name, Want: "a machine of a cluster that runs: this one is " +
			"stopped, and all its machines are ended"}
	case m.Role == RoleHead:
		return nil, &FieldError{Field: "machine", Value: name,
			Want: "a worker: this is the only server of the cluster, and " + consequence}
	}
	return m, nil
}
