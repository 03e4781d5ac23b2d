package api

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// ScaleTo sets the number of machines of the whole cluster, servers included, by changing DefaultPool. Its error is a
// *FieldError.
func (s *ClusterSpec) ScaleTo(machines int) error {
	newError := func(want string) error {
		return &FieldError{Field: "num_nodes", Value: strconv.Itoa(machines), Want: want}
	}
	p := s.FindPool(DefaultPool)
	if p == nil {
		return newError("--pool and --replicas instead: the cluster has no pool " + DefaultPool)
	}
	others := s.MachineCount() - p.Replicas
	if machines < others {
		return newError(fmt.Sprintf("at least %d: pool %s is what changes, and the rest of the cluster has %s",
			others, DefaultPool, describeOthers(*s)))
	}
	changed := *p
	changed.Replicas = machines - others
	if err := checkReplicas(changed); err != nil {
		return newError(fmt.Sprintf("a number that leaves pool %s, which is what changes, a valid number of replicas; "+
			"it would have %d, and should have %s", DefaultPool, changed.Replicas, err.(*FieldError).Want))
	}
	*p = changed
	return s.checkSize("num_nodes", machines)
}

// describeOthers says how many machines the cluster has outside of DefaultPool.
func describeOthers(s ClusterSpec) string {
	parts := []string{fmt.Sprintf("%d for the control plane", s.ControlPlane.Replicas)}
	for _, p := range s.Pools {
		if p.Name != DefaultPool {
			parts = append(parts, fmt.Sprintf("%d in pool %s", p.Replicas, p.Name))
		}
	}
	return strings.Join(parts, ", ")
}

// ScalePool sets the number of machines of a pool. Its error is a *FieldError.
func (s *ClusterSpec) ScalePool(name string, replicas int) error {
	p := s.FindPool(name)
	if p == nil {
		return s.newUnknownPoolError(name)
	}
	changed := *p
	changed.Replicas = replicas
	if err := checkReplicas(changed); err != nil {
		return err
	}
	*p = changed
	return s.checkSize("replicas", replicas)
}

// AddPool adds a pool. Its errors are *FieldErrors, joined.
func (s *ClusterSpec) AddPool(p Pool) error {
	if s.FindPool(p.Name) != nil {
		return &FieldError{Field: "pool", Value: p.Name, Want: "a new name: the cluster has this pool already; " +
			"skyctl scale cluster changes its size"}
	}
	if p.Machine.Accelerators != "" && s.GPUStack == "" {
		group := s.PoolGroup(p)
		group.SetDefaults()
		s.GPUStack = group.GPUStack
	}
	if a, err := ParseAccelerators(p.Machine.Accelerators); err == nil && s.ManagesGPUs() && !IsNVIDIA(a.Name) {
		return &FieldError{Field: "accelerators", Value: p.Machine.Accelerators, Want: fmt.Sprintf(
			"accelerators of NVIDIA: the gpu_stack of the cluster is %s, which is NVIDIA's software", s.GPUStack)}
	}
	s.Pools = append(s.Pools, p)
	s.SetDefaults()
	if err := s.checkSize("replicas", p.Replicas); err != nil {
		return err
	}
	return s.Validate()
}

// HasPool reports whether the cluster has exactly this pool.
func (s *ClusterSpec) HasPool(p Pool) bool {
	have := s.FindPool(p.Name)
	if have == nil {
		return false
	}
	other := s.Clone()
	*other.FindPool(p.Name) = p.clone()
	other.SetDefaults()
	return reflect.DeepEqual(*have, *other.FindPool(p.Name))
}

// RemovePool removes a pool, and what is for accelerators if it has the last ones. Its error is a *FieldError.
func (s *ClusterSpec) RemovePool(name string) error {
	if s.FindPool(name) == nil {
		return s.newUnknownPoolError(name)
	}
	s.Pools = slices.DeleteFunc(s.Pools, func(p Pool) bool { return p.Name == name })
	if !s.HasAccelerators() {
		s.GPUStack, s.GPUTaint = "", false // they are for accelerators
	}
	return nil
}

func (s *ClusterSpec) newUnknownPoolError(name string) error {
	want := "the cluster has no pools: skyctl create pool adds one"
	if len(s.Pools) > 0 {
		var names []string
		for _, p := range s.Pools {
			names = append(names, p.Name)
		}
		want = "a pool of the cluster: " + strings.Join(names, ", ")
	}
	return &FieldError{Field: "pool", Value: name, Want: want}
}

// checkSize returns a *FieldError for the field that makes the cluster larger than its max_nodes.
func (s *ClusterSpec) checkSize(field string, value int) error {
	count := s.MachineCount()
	switch {
	case value > LargestMaxNodes: // count may have overflowed
		return &FieldError{Field: field, Value: strconv.Itoa(value), Want: fmt.Sprintf(
			"at most %d for the whole cluster: its max_nodes, which cannot change", s.MaxNodes())}
	case count > s.MaxNodes():
		return &FieldError{Field: field, Value: strconv.Itoa(value), Want: fmt.Sprintf(
			"at most %d: the cluster would have %d machines; its max_nodes is %d, and cannot change",
			value-(count-s.MaxNodes()), count, s.MaxNodes())}
	}
	return nil
}

// IsMetBy reports whether the recorded machines are exactly those that the spec requests, and Ready. See also
// Cluster.IsReachedBy.
func (s ClusterSpec) IsMetBy(machines []Machine) bool {
	count := map[string]int{}
	for _, m := range machines {
		if m.State != MachineReady || m.Leaving != "" || m.ReplaceAsked || s.DescribeOutdated(m) != "" {
			return false
		}
		count[m.PoolName()]++
	}
	for _, p := range s.Pools {
		if count[p.Name] != p.Replicas {
			return false
		}
	}
	return count[""] == s.ControlPlane.Replicas && len(machines) == s.MachineCount()
}
