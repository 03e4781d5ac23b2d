package cloud

import (
	"fmt"
	"slices"
)

// LabelConflict says why listed[i], which has no record, may be a copy, or a machine that was renamed or relabelled; ""
// if nothing speaks for that.
func LabelConflict(listed []Machine, i int) string {
	m := listed[i]
	if m.Name != m.LabelledName() {
		return fmt.Sprintf("its labels name %s: it may be a copy, or was renamed", m.LabelledName())
	}
	twin := slices.IndexFunc(listed, func(o Machine) bool {
		return o.Owner == m.Owner && m.Incarnation != "" && o.Incarnation == m.Incarnation && (o.Name != m.Name ||
			o.ID != m.ID)
	})
	if twin >= 0 {
		return fmt.Sprintf("it carries the same labels as %s (id %s): one may be a copy of the other",
			listed[twin].Name, listed[twin].ID)
	}
	return ""
}

// Key tells listed machines apart.
func (m Machine) Key() string {
	if m.ID != "" {
		return m.ID
	}
	return "name " + m.Name
}

// ConflictingMachine is a listed machine that skyctl does not change, and why.
type ConflictingMachine struct {
	Machine
	Why string
}

func (k ConflictingMachine) String() string {
	return fmt.Sprintf("machine %s (id %s) was not terminated: %s", k.Name, k.ID, k.Why)
}
