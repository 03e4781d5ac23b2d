package plan

import (
	"fmt"
	"slices"

	"github.com/sky-shift/skyctl/pkg/api"
)

// identities say which listed machine is which record's. The cloud's own id tells a machine from all others; name and
// labels do where a record has no id yet. They can be copied and changed, so what does not fit together is disputed,
// and left alone.
type identities struct {
	// found is the listed machine of a record; none where it is not listed.
	found map[*api.Machine]*ListedMachine
	// disputed says of a record why its machine is not to be touched.
	disputed map[*api.Machine]string
	// own says of each listed machine, by its position, whether it is a record's.
	own []bool
}

func identifyMachines(records []api.Machine, listed []ListedMachine) identities {
	ids := identities{found: map[*api.Machine]*ListedMachine{}, disputed: map[*api.Machine]string{},
		own: make([]bool, len(listed))}
	for i := range records {
		if m := &records[i]; m.CloudID != "" {
			ids.claimMachines(m, listed, func(l *ListedMachine) bool { return l.ID == m.CloudID })
		}
	}
	for i := range records {
		if m := &records[i]; ids.found[m] == nil {
			ids.claimByName(m, listed)
		}
	}
	return ids
}

// claimMachines gives a record those listed machines that are its own; one that is listed twice runs if either does.
func (ids *identities) claimMachines(m *api.Machine, listed []ListedMachine, isOwn func(*ListedMachine) bool) {
	for i := range listed {
		l := &listed[i]
		if ids.own[i] || !isOwn(l) {
			continue
		}
		ids.own[i] = true
		if old := ids.found[m]; old == nil || old.Stopped {
			ids.found[m] = l
		}
	}
	if l := ids.found[m]; l != nil && (l.Incarnation != m.Incarnation || l.Index != m.Index) {
		ids.disputed[m] = fmt.Sprintf("the machine that is on record for it (id %s, named %q) "+
			"carries the labels of index %d, incarnation %q; on record is %s",
			l.ID, l.Name, l.Index, l.Incarnation, m.Incarnation)
	}
}

// claimByName finds the machine of a record by name and incarnation.
func (ids *identities) claimByName(m *api.Machine, listed []ListedMachine) {
	var others []string
	named := func(l *ListedMachine) bool { return l.Name == m.Name && l.Incarnation == m.Incarnation }
	for i := range listed {
		if l := &listed[i]; named(l) && !ids.own[i] && l.ID != "" && !slices.Contains(others, l.ID) {
			others = append(others, l.ID)
		}
	}
	if m.CloudID == "" {
		ids.claimMachines(m, listed, named)
		if len(others) > 1 {
			ids.disputed[m] = fmt.Sprintf("several machines bear its name and its labels (ids %v), "+
				"and which one it is is not on record", others)
		}
		return
	}
	ids.claimMachines(m, listed, func(l *ListedMachine) bool { return named(l) && l.ID == "" })
	if ids.found[m] == nil && len(others) > 0 {
		ids.disputed[m] = fmt.Sprintf("what the cloud lists under its name and with its labels "+
			"is another machine (id %s); on record is %s", others[0], m.CloudID)
	}
}

// cloudIDOf is the cloud's own id of a record's machine, as far as it is known.
func (p *planner) cloudIDOf(m *api.Machine) string {
	if m.CloudID == "" && p.found[m] != nil {
		return p.found[m].ID
	}
	return m.CloudID
}

const leftAlone = "only reported: find out on its cloud what it is, and end it or take its labels away there"

// describeConflict says why a listed machine that is no record's may be a copy of one, or be one whose labels somebody
// changed; empty where it is beyond doubt a machine of this cluster that has no record.
func (p *planner) describeConflict(i int) string {
	l := &p.observed.Listed[i]
	for j := range p.cluster.Status.Machines {
		m := &p.cluster.Status.Machines[j]
		switch {
		case m.Incarnation == l.Incarnation && p.isUnrecordedLaunch(m, l): // each launch of it is its own
		case m.Incarnation == l.Incarnation:
			return fmt.Sprintf("it (id %s) carries the labels of %s, which is on record (incarnation %s, id %s): "+
				"it may be a copy", l.ID, m.Name, m.Incarnation, p.cloudIDOf(m))
		case m.Name == l.Name && p.found[m] != nil:
			return fmt.Sprintf("it (id %s, incarnation %s) bears the name of a machine on record that is another one "+
				"(incarnation %s, id %s)", l.ID, l.Incarnation, m.Incarnation, p.cloudIDOf(m))
		}
	}
	elsewhere := l.Cluster != "" && l.Cluster != p.cluster.Metadata.Name
	if elsewhere || l.Name != api.MachineName(p.cluster.Metadata.Name, l.Index) {
		return fmt.Sprintf("it (id %s) does not bear the name that its labels make, %s: it may be a copy, or was "+
			"renamed",
			l.ID, api.MachineName(l.Cluster, l.Index))
	}
	for j := range p.observed.Listed {
		if other := &p.observed.Listed[j]; j != i && l.Incarnation != "" && other.Incarnation == l.Incarnation &&
			other.ID != l.ID {
			return fmt.Sprintf("it (id %s) and %s (id %s) carry the same labels: one may be a copy of the other", l.ID,
				other.Name, other.ID)
		}
	}
	if l.Conflict != "" { // what it was compared with then may be gone
		return fmt.Sprintf("%s (its id is %s)", l.Conflict, l.ID)
	}
	return ""
}

// isUnrecordedLaunch says that a machine is one more launch of a record in a create that failed: nobody has lived to
// see which of them it got.
func (p *planner) isUnrecordedLaunch(m *api.Machine, l *ListedMachine) bool {
	return p.cluster.Status.Phase == api.PhaseError && m.CloudID == "" && m.Name == l.Name && m.Index == l.Index
}

// planExtraMachines are machines of the cluster that have no place in it. Only what is beyond doubt the cluster's own,
// and does nothing for it, is ended; a server never is.
func (p *planner) planExtraMachines() {
	for i, l := range p.observed.Listed {
		if p.own[i] {
			continue
		}
		const message = "it carries the cluster's labels and has no place in it"
		why := p.describeConflict(i)
		switch m := p.machinesByName[l.Name]; {
		case l.Name == "":
			p.reportDrift("", api.DriftMachineExtra, "a machine without a name carries the cluster's labels",
				"only reported: there is no name by which to end it")
		case why != "":
			p.reportDrift(l.Name, api.DriftMachineConflict, why, leftAlone)
		case l.Index == 0:
			p.reportDrift(l.Name, api.DriftMachineConflict,
				fmt.Sprintf("it (id %s, incarnation %s) is labelled as the cluster's server, and is not the one on "+
					"record", l.ID,
					l.Incarnation), leftAlone)
		case p.isExtraNodeReady(l):
			p.reportDrift(l.Name, api.DriftMachineExtra, message+", though its Node is Ready",
				"only reported: drain its Node and delete it, and the machine is terminated")
		case m != nil:
			p.reportDrift(l.Name, api.DriftMachineExtra, describeOtherIncarnation(l, m),
				"it is terminated should its place be given to a new machine; until then the listing may be behind")
		case p.isAPISilent():
			p.reportDrift(l.Name, api.DriftMachineExtra, message, "it is terminated "+onceAPIAnswers)
		default:
			p.requestTermination(l, api.DriftMachineExtra, message)
		}
	}
}

// isExtraNodeReady says that the Node of a machine without a record is Ready.
func (p *planner) isExtraNodeReady(l ListedMachine) bool {
	return !p.isAPISilent() && p.observed.Nodes[api.NodeName(p.cluster.Metadata.Name, l.Index, l.Incarnation)].Ready
}

// checkNameFree says that nothing keeps the name of a record's machine, which is not there any more, from a machine
// that is to be launched: what is left of an earlier one can be ended first. Where it can't, it reports why the action
// has to wait.
func (p *planner) checkNameFree(m *api.Machine, a api.Action) bool {
	for i, l := range p.observed.Listed {
		if p.own[i] || l.Name != m.Name {
			continue
		}
		switch at := p.earliestRetry(p.newTerminateAction(l, api.DriftMachineExtra, "")); {
		case p.describeConflict(i) != "", l.Index == 0, p.isExtraNodeReady(l), l.Unknown:
			p.reportDrift(m.Name, a.Reason, a.Message,
				fmt.Sprintf("nothing, while another machine (id %s) bears its name: see there", l.ID))
			return false
		case p.observed.At.Before(at):
			p.reportDrift(m.Name, a.Reason, a.Message, "nothing before "+formatClockTime(at)+
				": an earlier machine of its name is still there, and was terminated not long ago")
			return false
		}
	}
	return true
}

// terminatePredecessors ends what is left of earlier machines in those places that are given to new ones now.
func (p *planner) terminatePredecessors() {
	for i, l := range p.observed.Listed {
		launches := func(a api.Action) bool {
			return a.Machine == l.Name && (a.Kind == api.ActionReplace || a.Kind == api.ActionBringUp)
		}
		if m := p.machinesByName[l.Name]; !p.own[i] && m != nil && p.found[m] == nil &&
			slices.ContainsFunc(p.actions, launches) {
			p.setNextStep(l.Name, api.DriftMachineExtra, "it is terminated, since its place is given to a new machine")
			p.actions = append(p.actions, p.newTerminateAction(l, api.DriftMachineExtra,
				describeOtherIncarnation(l, m)))
		}
	}
}

// planLeftoverMachines are machines of a cluster in ERROR that should be gone: all of a create that failed, unless they
// are kept on purpose, and none that is on record where the cluster can be mended. What may hold somebody's work is
// only reported.
func (p *planner) planLeftoverMachines() {
	if p.observed.CloudError != "" || p.cluster.Status.KeepOnFailure {
		return
	}
	for i, l := range p.observed.Listed {
		m := p.machinesByName[l.Name]
		why := ""
		if !p.own[i] {
			why = p.describeConflict(i)
		} else if m = p.recordOf(&p.observed.Listed[i], m); m != nil && !p.isUnrecordedLaunch(m, &l) {
			why = p.disputed[m]
		}
		kept := m != nil && m.State.MayExist() && m.State != api.MachineTerminating && p.cluster.Status.CanBeRepaired()
		switch {
		case l.Name == "", kept && p.own[i] && why == "":
		case why != "":
			p.reportDrift(l.Name, api.DriftMachineConflict, why, leftAlone)
		case kept:
			p.reportDrift(l.Name, api.DriftLeftover, describeOtherIncarnation(l, m),
				"only reported: one of this name is to be kept")
		case p.cluster.Status.WasReady():
			p.reportDrift(l.Name, api.DriftLeftover, "it is not on record as one of the cluster's, and is still there",
				"only reported: it may hold somebody's work; delete the cluster, or end it on the cloud")
		default:
			p.requestTermination(l, api.DriftLeftover, "it was to be terminated, and is still there")
		}
	}
}

// recordOf is the record whose machine is listed there.
func (p *planner) recordOf(l *ListedMachine, otherwise *api.Machine) *api.Machine {
	for m, found := range p.found {
		if found == l {
			return m
		}
	}
	return otherwise
}

func describeOtherIncarnation(l ListedMachine, m *api.Machine) string {
	return fmt.Sprintf("the cloud lists incarnation %s under this name, on record is %s", l.Incarnation, m.Incarnation)
}

func (p *planner) newTerminateAction(l ListedMachine, reason api.DriftReason, message string) api.Action {
	return api.Action{
		Kind: api.ActionTerminate, Index: l.Index, Machine: l.Name, Incarnation: l.Incarnation, ID: l.ID,
		Reason: reason, Message: message,
	}
}

func (p *planner) requestTermination(l ListedMachine, reason api.DriftReason, message string) {
	if l.Unknown {
		p.reportDrift(l.Name, reason, message, onceAsked)
		return
	}
	p.requestAction(p.newTerminateAction(l, reason, message), "it is terminated")
}
