package cloud

import (
	"fmt"
	"strconv"

	"github.com/sky-shift/skyctl/pkg/api"
)

// Target names one machine beyond doubt. Names and labels can be copied, and names can be changed: whoever acts on a
// machine reads it again at the moment of the act, and leaves alone what does not fit.
type Target struct {
	Owner Owner
	// Name is what people know the machine by; it finds the machine only where there is no ID.
	Name  string
	Index int
	// Incarnation is that of the machine. It is empty only for a machine that was labelled by hand: then it is not
	// compared.
	Incarnation string
	// ID is the cloud's own id of the machine. It is empty where the cloud has not told one yet: then the machine is
	// the one of the owner's that bears the name and the incarnation.
	ID string
	// Cloud is the name of the cloud that the machine is on, as specs have it; empty where that is not known.
	Cloud string
}

// TargetOf is a listed machine as a target.
func TargetOf(m Machine) Target {
	return Target{Owner: m.Owner, Name: m.Name, Index: m.Index, Incarnation: m.Incarnation, ID: m.ID, Cloud: m.Cloud}
}

// ToTarget is the machine that a request asks for, whose id is not known yet.
func (r LaunchRequest) ToTarget() Target {
	return Target{Owner: r.Owner, Name: r.Name, Index: r.Index, Incarnation: r.Incarnation, Cloud: r.Placement.Cloud}
}

// LabelledName is the name that a machine's labels make. It is the name of a machine which skyctl launched and nobody
// renamed.
func (m Machine) LabelledName() string { return api.MachineName(m.Owner.Cluster, m.Index) }

// CheckIdentity says whether a machine, as its cloud shows it now, is the target; its error is a Conflict that says
// what does not fit. A machine that was found by its id may bear another name by now.
func (t Target) CheckIdentity(m Machine) error {
	var why string
	switch {
	case m.Owner.Installation != t.Owner.Installation:
		why = fmt.Sprintf("belongs to installation %q", m.Owner.Installation)
	case t.Owner.ClusterUID != "" && m.Owner.ClusterUID != t.Owner.ClusterUID:
		why = fmt.Sprintf("belongs to cluster %q (uid %s)", m.Owner.Cluster, m.Owner.ClusterUID)
	case t.Owner.Cluster != "" && m.Owner.Cluster != t.Owner.Cluster, m.Index != t.Index:
		why = "is labelled as " + m.LabelledName()
	case t.Incarnation != "" && m.Incarnation != t.Incarnation:
		why = fmt.Sprintf("is incarnation %q, not %s", m.Incarnation, t.Incarnation)
	case t.ID != "" && m.ID != "" && m.ID != t.ID:
		why = "is another machine than " + t.ID
	default:
		return nil
	}
	return &Error{Kind: Conflict, Message: fmt.Sprintf(
		"machine %s is left alone: what its cloud shows as %s (id %s) %s; "+
			"look at it on its cloud, and mend its labels there or end it by hand",
		t.Name, m.Name, m.ID, why)}
}

// FindMachine finds a target among the machines that its cloud lists: by the id where there is one, by name,
// incarnation and owner otherwise. It returns nil where the target is not there, and a Conflict where what is there
// does not fit, or where nobody can tell it from a copy.
func (t Target) FindMachine(listed []Machine) (*Machine, error) {
	if t.ID != "" {
		for i, m := range listed {
			if m.ID == t.ID {
				return &listed[i], t.CheckIdentity(m)
			}
		}
	}
	var found *Machine
	for i, m := range listed {
		if t.ID != "" && m.ID != "" || m.Name != t.Name || t.CheckIdentity(m) != nil {
			continue // with an id of its own it is another machine; and what is another's of the name is not the target
		}
		if found != nil {
			return nil, t.ambiguityError(*found, m)
		}
		found = &listed[i]
	}
	if found == nil || t.ID != "" || found.Incarnation == "" {
		return found, nil
	}
	for _, m := range listed {
		if m.Owner == found.Owner && m.Incarnation == found.Incarnation && m.Name != found.Name {
			return nil, t.ambiguityError(*found, m)
		}
	}
	return found, nil
}

func (t Target) ambiguityError(a, b Machine) error {
	return &Error{Kind: Conflict, Message: fmt.Sprintf(
		"machine %s is left alone: %s (id %s) and %s (id %s) carry the same labels, "+
			"and its id is not on record; end or relabel the copy by hand",
		t.Name, a.Name, a.ID, b.Name, b.ID)}
}

// MachineFromLabels is what a machine's labels say about it. Labels that do not parse read as zero, so that the machine
// is still listed.
func MachineFromLabels(name string, labels map[string]string) Machine {
	index, _ := strconv.Atoi(labels[LabelIndex])
	return Machine{
		Owner: Owner{
			Installation: labels[LabelInstallation], Cluster: labels[LabelCluster], ClusterUID: labels[LabelClusterUID],
		},
		Name: name, Index: index, Incarnation: labels[LabelIncarnation], State: StatePending,
	}
}
