package api

// Neighbors are the machines of a cluster beside which a group of machines is placed. The zero value is a cluster that
// consists of the group.
type Neighbors struct {
	// Machines is their number.
	Machines int `json:"machines,omitempty"`
	// MemoryGiB is what those of them have together whose size is known. Unsized is the number of the others.
	MemoryGiB float64 `json:"memory_gib,omitempty"`
	Unsized   int     `json:"unsized,omitempty"`
	// InPool is how many of them belong to the group's pool, and PoolMemoryGiB what each of those has; 0 is unknown.
	InPool        int     `json:"in_pool,omitempty"`
	PoolMemoryGiB float64 `json:"pool_memory_gib,omitempty"`
}

// PoolRequest returns the machines that a pool still has to get, at least one, as a group in the cloud and region of
// its cluster, and the machines beside which they are placed. The pool need not be stored yet. The machines must have
// been read with the cluster.
func (c *Cluster) PoolRequest(p Pool) (GroupSpec, Neighbors) {
	group := c.Spec.PoolGroup(p)
	if at := c.Status.Placement; at != nil {
		group.Cloud, group.Region = at.Cloud, at.Region
	}
	var beside Neighbors
	for _, m := range c.Status.Machines {
		inPool := m.PoolName() == p.Name
		if inPool && m.Spec != nil && !c.Spec.IsSameMachineSpec(*m.Spec, p.Machine) {
			continue // its successor is one of those that the pool still has to get
		}
		if m.Leaving != "" || !m.State.MayExist() && (inPool || m.State != MachineReserved) {
			continue // it goes, or it is one of those that the pool still has to get
		}
		beside.Machines++
		beside.MemoryGiB += m.Placement.MemoryGiB
		if inPool {
			beside.InPool++
			beside.PoolMemoryGiB = m.Placement.MemoryGiB
		}
	}
	group.NumNodes = max(1, p.Replicas-beside.InPool)
	return group, beside
}
