package plan

import (
	"fmt"
	"slices"

	"github.com/sky-shift/skyctl/pkg/api"
)

// identities match the machines in the cloud's list to records. The cloud's id identifies a machine; name and labels do
// if the record has no id yet. Those can be copied and changed, so a machine whose data do not match is disputed, and
// skyctl does not change it.
type identities struct {
	// found is the listed machine of a record, if it is listed.
	found map[*api.Machine]*ListedMachine
	// disputed says why the machine of a record must not be changed.
	disputed map[*api.Machine]string
	// own says for each listed machine, by its position, whether it has a record.
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

// claimMachines assigns listed machines to a record. A machine that is listed twice runs if either entry says so.
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
		ids.disputed[m] = fmt.Sprintf("its machine on the cloud (id %s, named %q) has the labels of index %d, "+
			"incarnation %q; its record says incarnation %s",
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
			ids.disputed[m] = fmt.Sprintf("several machines have its name and labels (ids %v), "+
				"and its record has no id", others)
		}
		return
	}
	ids.claimMachines(m, listed, func(l *ListedMachine) bool { return named(l) && l.ID == "" })
	if ids.found[m] == nil && len(others) > 0 {
		ids.disputed[m] = fmt.Sprintf("the machine with its name and labels on the cloud has the id %s; "+
			"its record says %s", others[0], m.CloudID)
	}
}

// cloudIDOf returns the cloud's id of a recorded machine, as far as it is known.
func (p *planner) cloudIDOf(m *api.Machine) string {
	if m.CloudID == "" && p.found[m] != nil {
		return p.found[m].ID
	}
	return m.CloudID
}

const conflictAdvice = "only reported: find out on its cloud what it is, and terminate it or remove its labels there"

// describeConflict says why a listed machine without a record may be a copy, or may have changed labels; empty if it is
// certainly a machine of this cluster.
func (p *planner) describeConflict(i int) string {
	l := &p.observed.Listed[i]
	for j := range p.cluster.Status.Machines {
		m := &p.cluster.Status.Machines[j]
		switch {
		case m.Incarnation == l.Incarnation && p.isUnrecordedLaunch(m, l): // every launch of it belongs to the cluster
		case m.Incarnation == l.Incarnation:
			return fmt.Sprintf("it (id %s) has the labels of %s, which is another machine (incarnation %s, id %s): "+
				"it may be a copy", l.ID, m.Name, m.Incarnation, p.cloudIDOf(m))
		case m.Name == l.Name && p.found[m] != nil:
			return fmt.Sprintf("it (id %s, incarnation %s) has the name of another machine of the cluster "+
				"(incarnation %s, id %s)", l.ID, l.Incarnation, m.Incarnation, p.cloudIDOf(m))
		}
	}
	elsewhere := l.Cluster != "" && l.Cluster != p.cluster.Metadata.Name
	if elsewhere || l.Name != api.MachineName(p.cluster.Metadata.Name, l.Index) {
		return fmt.Sprintf("its name (its id is %s) does not match its labels, which say %s: it may be a copy, or was "+
			"renamed", l.ID, api.MachineName(l.Cluster, l.Index))
	}
	for j := range p.observed.Listed {
		if other := &p.observed.Listed[j]; j != i && l.Incarnation != "" && other.Incarnation == l.Incarnation &&
			other.ID != l.ID {
			return fmt.Sprintf("it (id %s) and %s (id %s) have the same labels: one may be a copy of the other", l.ID,
				other.Name, other.ID)
		}
	}
	if l.Conflict != "" { // the machine it was compared with may be gone
		return fmt.Sprintf("%s (its id is %s)", l.Conflict, l.ID)
	}
	return ""
}

// isUnrecordedLaunch says whether a machine comes from another launch of the same record, in a failed create that was
// cut off before the launch's id was recorded.
func (p *planner) isUnrecordedLaunch(m *api.Machine, l *ListedMachine) bool {
	return p.cluster.Status.Phase == api.PhaseError && m.CloudID == "" && m.Name == l.Name && m.Index == l.Index
}

// planExtraMachines plans for listed machines without a record. It terminates only machines that certainly belong to
// the cluster and do no work for it, and never a server.
func (p *planner) planExtraMachines() {
	for i, l := range p.observed.Listed {
		if p.own[i] {
			continue
		}
		const message = "it has the cluster's labels but no record"
		why := p.describeConflict(i)
		switch m := p.machinesByName[l.Name]; {
		case l.Name == "":
			p.reportDrift("", api.DriftMachineExtra, "a machine without a name has the cluster's labels",
				"only reported: it cannot be terminated without a name")
		case why != "":
			p.reportDrift(l.Name, api.DriftMachineConflict, why, conflictAdvice)
		case p.mayBeServer(l):
			p.reportDrift(l.Name, api.DriftMachineConflict,
				fmt.Sprintf("it (id %s, incarnation %s) has the labels of the cluster's server, but is not the "+
					"recorded one", l.ID, l.Incarnation), conflictAdvice)
		case p.isExtraNodeReady(l):
			p.reportDrift(l.Name, api.DriftMachineExtra, message+", though its Node is Ready",
				"only reported: drain and delete its Node to have the machine terminated")
		case p.runningFor(l.Name, "") != nil:
			p.reportDrift(l.Name, api.DriftMachineExtra, message, describeRunning(p.runningFor(l.Name, "")))
		case m != nil:
			p.reportDrift(l.Name, api.DriftMachineExtra, describeOtherIncarnation(l, m),
				"it is terminated when a new machine gets its name; until then, the cloud's list may be out of date")
		case p.isAPISilent():
			p.reportDrift(l.Name, api.DriftMachineExtra, message, "it is terminated "+onceAPIAnswers)
		default:
			p.requestTermination(l, api.DriftMachineExtra, message)
		}
	}
}

// mayBeServer says whether a machine without a record may be a server of the cluster: without a recorded head any may.
func (p *planner) mayBeServer(l ListedMachine) bool {
	return p.head == nil || l.Index == p.head.Index || l.Name == p.head.Name
}

// isExtraNodeReady says whether the Node of a machine without a record is Ready.
func (p *planner) isExtraNodeReady(l ListedMachine) bool {
	return !p.isAPISilent() && p.observed.Nodes[api.NodeName(p.cluster.Metadata.Name, l.Index, l.Incarnation)].Ready
}

// checkNameFree says whether a new machine can be launched under the name of a recorded machine that is gone: no other
// machine has the name, or it can be terminated first. If not, it reports why the action has to wait.
func (p *planner) checkNameFree(m *api.Machine, a api.Action) bool {
	for i, l := range p.observed.Listed {
		if p.own[i] || l.Name != m.Name {
			continue
		}
		switch at := p.earliestRetry(p.newTerminateAction(l, api.DriftMachineExtra, "")); {
		case p.describeConflict(i) != "", p.mayBeServer(l), p.isExtraNodeReady(l), l.Unknown:
			p.reportDrift(m.Name, a.Reason, a.Message,
				fmt.Sprintf("no action while another machine (id %s) has the same name; see its entry", l.ID))
			return false
		case p.inFlight[targetOf(p.newTerminateAction(l, "", ""))] != nil:
			p.reportDrift(m.Name, a.Reason, a.Message, "no action while an earlier machine with its name is terminated")
			return false
		case p.observed.At.Before(at):
			p.reportDrift(m.Name, a.Reason, a.Message, "no action before "+p.formatDueTime(at)+
				": an earlier machine with its name still exists, though it was terminated recently")
			return false
		}
	}
	return true
}

// terminatePredecessors terminates earlier machines whose names new machines get now.
func (p *planner) terminatePredecessors() {
	for i, l := range p.observed.Listed {
		launches := func(a api.Action) bool {
			return a.Machine == l.Name && (a.Kind == api.ActionReplace || a.Kind == api.ActionBringUp)
		}
		if m := p.machinesByName[l.Name]; !p.own[i] && m != nil && p.found[m] == nil &&
			slices.ContainsFunc(p.actions, launches) {
			end := p.newTerminateAction(l, api.DriftMachineExtra, describeOtherIncarnation(l, m))
			p.setNextStep(end, "it is terminated, because a new machine gets its name")
			p.actions = append(p.actions, end)
		}
	}
}

// planLeftoverMachines plans for machines of a cluster in ERROR that should be gone: all machines of a failed create,
// unless they are kept on purpose, but no recorded machine of a cluster that can be repaired, or whose restore can go
// on. Machines that may hold data are only reported.
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
		kept := m != nil && m.State.MayExist() && m.State != api.MachineTerminating &&
			(p.cluster.Status.CanBeRepaired() || p.cluster.Status.Restore != nil)
		switch {
		case l.Name == "", kept && p.own[i] && why == "":
		case why != "":
			p.reportDrift(l.Name, api.DriftMachineConflict, why, conflictAdvice)
		case kept:
			p.reportDrift(l.Name, api.DriftLeftover, describeOtherIncarnation(l, m),
				"only reported: a machine with this name must be kept")
		case p.cluster.Status.WasReady():
			p.reportDrift(l.Name, api.DriftLeftover, "it should be gone and still exists",
				"only reported: it may hold data; delete the cluster, or terminate it on the cloud")
		default:
			p.requestTermination(l, api.DriftLeftover, "it should have been terminated and still exists")
		}
	}
}

// recordOf returns the record of a listed machine.
func (p *planner) recordOf(l *ListedMachine, otherwise *api.Machine) *api.Machine {
	for m, found := range p.found {
		if found == l {
			return m
		}
	}
	return otherwise
}

func describeOtherIncarnation(l ListedMachine, m *api.Machine) string {
	return fmt.Sprintf("the cloud lists incarnation %s under this name; the record says %s", l.Incarnation,
		m.Incarnation)
}

func (p *planner) newTerminateAction(l ListedMachine, reason api.DriftReason, message string) api.Action {
	return api.Action{
		Kind: api.ActionTerminate, Index: l.Index, Machine: l.Name, Incarnation: l.Incarnation, ID: l.ID,
		Reason: reason, Message: message,
	}
}

func (p *planner) requestTermination(l ListedMachine, reason api.DriftReason, message string) {
	if l.Unknown {
		p.reportDrift(l.Name, reason, message, untilQueried)
		return
	}
	p.requestAction(p.newTerminateAction(l, reason, message), "it is terminated")
}
