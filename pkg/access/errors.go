package access

import (
	"fmt"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// UnknownError says that nothing has the name that a person gave.
type UnknownError struct {
	// What is the kind: "cluster or machine", "machine" or "pool".
	What, Name string
	// Cluster is the cluster that was looked at; empty is all.
	Cluster string
	// Near is a similar name; empty if there is none.
	Near string
}

func (e *UnknownError) Error() string {
	s := fmt.Sprintf("there is no %s %q", e.What, e.Name)
	list := "skyctl get clusters and skyctl get machines CLUSTER list them"
	if e.Cluster != "" {
		s = fmt.Sprintf("cluster %s has no %s %q", e.Cluster, e.What, e.Name)
		list = fmt.Sprintf("skyctl get %ss %s lists them", e.What, e.Cluster)
	}
	if e.Near != "" {
		return s + "; did you mean " + e.Near + "?"
	}
	return s + "; " + list
}

// NotReachableError says that a machine has no address yet, or is gone.
type NotReachableError struct {
	Machine string
	State   api.MachineState
	Step    string
}

func (e *NotReachableError) Error() string {
	s := fmt.Sprintf("machine %s cannot be reached: it is %s", e.Machine, e.State)
	if e.Step != "" {
		s += " (" + e.Step + ")"
	}
	return s
}

// NoMachinesError says that a selection has no machine.
type NoMachinesError struct {
	Cluster string
	Phase   api.Phase
	Pools   []string
}

func (e *NoMachinesError) Error() string {
	if len(e.Pools) > 0 {
		return fmt.Sprintf("cluster %s has no machine in pool %s", e.Cluster, strings.Join(e.Pools, ", "))
	}
	if e.Phase == api.PhaseStopped {
		return fmt.Sprintf("cluster %[1]s is STOPPED, so it has no machines. To start it: skyctl start cluster %[1]s",
			e.Cluster)
	}
	return fmt.Sprintf("cluster %[1]s has no machine yet: it is %[2]s; see skyctl describe cluster %[1]s", e.Cluster,
		e.Phase)
}
