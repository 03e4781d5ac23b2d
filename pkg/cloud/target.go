package cloud

import (
	"fmt"
	"strconv"

	"github.com/sky-shift/skyctl/pkg/api"
)

// Target identifies one machine. Names and labels can be copied, and names can be changed: whoever acts on a machine
// reads it again first, and does not change a machine that does not match.
type Target struct {
	Owner Owner
	// Name is the machine's name. It finds the machine only if there is no ID.
	Name  string
	Index int
	// Incarnation is empty only for a machine that was labelled by hand; it is not compared then.
	Incarnation string
	// ID is the cloud's own id of the machine. It is empty if the cloud has not reported one yet: the machine is then
	// the owner's that has the name and the incarnation.
	ID string
	// Cloud is the name of the machine's cloud in specs, or empty if it is unknown.
	Cloud string
}

// TargetOf is a listed machine as a target.
func TargetOf(m Machine) Target {
	return Target{Owner: m.Owner, Name: m.Name, Index: m.Index, Incarnation: m.Incarnation, ID: m.ID, Cloud: m.Cloud}
}

// ToTarget is the requested machine, whose id is not known yet.
func (r LaunchRequest) ToTarget() Target {
	return Target{Owner: r.Owner, Name: r.Name, Index: r.Index, Incarnation: r.Incarnation, Cloud: r.Placement.Cloud}
}

// LabelledName is the name in a machine's labels. A machine that skyctl launched and nobody renamed has this name.
func (m Machine) LabelledName() string { return api.MachineName(m.Owner.Cluster, m.Index) }

// CheckIdentity checks that a machine, as its cloud shows it now, is the target. The error is a Conflict that says what
// does not match. A machine that was found by its id may have another name by now.
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
		"machine %s is not changed: its cloud shows %s (id %s), which %s; "+
			"check it on its cloud, and fix its labels there or terminate it by hand",
		t.Name, m.Name, m.ID, why)}
}

// FindMachine finds a target among the machines that its cloud lists: by its id, or without one by name, incarnation
// and owner. It returns nil if the target does not exist, and a Conflict if the machine does not match or cannot be
// told from a copy.
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
			continue // it has another id, or the name but another owner
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
		"machine %s is not changed: %s (id %s) and %s (id %s) have the same labels, "+
			"and its id is not recorded; terminate or relabel the copy by hand",
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
