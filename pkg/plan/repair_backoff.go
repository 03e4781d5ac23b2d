package plan

import (
	"fmt"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// newMachineAction is an action on a machine in its place.
func newMachineAction(m *api.Machine, kind api.ActionKind, reason api.DriftReason, message string) api.Action {
	return api.Action{Kind: kind, Index: m.Index, Machine: m.Name, Incarnation: m.Incarnation, Reason: reason,
		Message: message}
}

// requestAction reports a drift, and asks for an action about it unless that was done not long ago.
func (p *planner) requestAction(a api.Action, next string) {
	if at := p.earliestRetry(a); p.observed.At.Before(at) {
		p.reportDrift(a.Machine, a.Reason, a.Message, next+" at "+formatClockTime(at)+", for it was done not long ago")
		return
	}
	p.reportDrift(a.Machine, a.Reason, a.Message, next)
	if m := p.machines[a.Index]; isMachineAction(a) && m != nil {
		a.ID = p.cloudIDOf(m)
	}
	p.actions = append(p.actions, a)
}

// requestActionWithLimit asks as ask does; an action that was done in vain as often as the limit says sends the cluster
// to ERROR.
func (p *planner) requestActionWithLimit(a api.Action, next string, limit int) {
	if !p.isRepairLimitReached(a, limit) {
		p.requestAction(a, next)
		return
	}
	p.reportDrift(a.Machine, a.Reason, a.Message, "the cluster goes to ERROR; its machines are left alone")
	p.failCluster(p.machines[a.Index], a.Reason,
		fmt.Sprintf("%s: %s, and what was done about it does not last. The cluster's machines were left alone. "+
			"Look into it, then run skyctl reconcile %s", a.Machine, a.Message, p.cluster.Metadata.Name))
}

// pastRepairs are the repairs of a kind on the same thing within the window, oldest first. A record from the future was
// made by nobody, and would hold up repairs until then.
func (p *planner) pastRepairs(a api.Action) []api.Repair {
	var found []api.Repair
	for _, r := range p.cluster.Status.Repairs {
		if r.Action.RepairKey() == a.RepairKey() && p.isRecentRepair(r) {
			found = append(found, r)
		}
	}
	return found
}

func (p *planner) isRecentRepair(r api.Repair) bool {
	return r.At.After(p.observed.At.Add(-p.policy.Window)) && !r.At.After(p.observed.At.Add(p.policy.Backoff))
}

// lastRepairOnMachine is the last such repair on this very machine; nil where there was none.
func (p *planner) lastRepairOnMachine(a api.Action) *api.Repair {
	var last *api.Repair
	for _, r := range p.pastRepairs(a) {
		if r.Action.Incarnation == a.Incarnation {
			last = &r
		}
	}
	return last
}

// repairEndTime is when a repair was over; one that nobody saw end counts from its beginning.
func repairEndTime(r api.Repair) time.Time {
	if r.Ended.Before(r.At) {
		return r.At
	}
	return r.Ended
}

// isFailedRepair says that a repair failed, or that nobody lived to say how it ended.
func isFailedRepair(r api.Repair) bool { return r.Error != "" || r.Ended.IsZero() }

// earliestRetry is when a repair may be done again. The pause after one that failed doubles with each failure in a row.
func (p *planner) earliestRetry(a api.Action) time.Time {
	past := p.pastRepairs(a)
	if len(past) == 0 {
		return time.Time{}
	}
	pause := p.policy.Backoff
	for i := len(past) - 2; i >= 0 && isFailedRepair(past[i]) && pause < p.policy.Window; i-- {
		pause *= 2
	}
	return repairEndTime(past[len(past)-1]).Add(pause)
}

// failedRepairWeight is how many repairs that went well count as much as one that failed: what is needed again and
// again does not help, though machines that a cloud takes back (spot) are no reason to give up.
const failedRepairWeight = 3

// isRepairLimitReached says that a repair was done as often as its limit allows.
func (p *planner) isRepairLimitReached(a api.Action, limit int) bool {
	sum := 0
	for _, r := range p.pastRepairs(a) {
		if sum++; isFailedRepair(r) {
			sum += failedRepairWeight - 1
		}
	}
	return sum >= failedRepairWeight*limit
}

// failCluster sends the cluster to ERROR, with what a person has to know: what can be done, and what was tried.
func (p *planner) failCluster(m *api.Machine, reason api.DriftReason, message string) {
	if p.fail == nil {
		p.fail = &api.Failure{Step: "repair", Machine: m.Name, Reason: string(reason),
			Message: message + p.formatRepairHistory(m.Index), At: p.observed.At}
	}
}

// A history shows no more tries than maxRepairsShown, and no more characters of an error than maxErrorLength.
const (
	maxRepairsShown = 10
	maxErrorLength  = 200
)

// formatRepairHistory lists what was tried in a place, for a person.
func (p *planner) formatRepairHistory(index int) string {
	var tried []string
	for _, r := range p.cluster.Status.Repairs {
		if isMachineAction(r.Action) && r.Action.Index == index && p.isRecentRepair(r) {
			tried = append(tried, fmt.Sprintf("%s at %s: %s", r.Action.Kind, formatClockTime(r.At),
				formatRepairOutcome(r)))
		}
	}
	if len(tried) == 0 {
		return ""
	}
	return ". What was tried: " + strings.Join(tried[max(0, len(tried)-maxRepairsShown):], "; ")
}

func formatRepairOutcome(r api.Repair) string {
	switch {
	case r.Error != "":
		first, _, _ := strings.Cut(r.Error, "\n")
		return strings.ToValidUTF8(first[:min(len(first), maxErrorLength)], "")
	case r.Ended.IsZero():
		return "was interrupted"
	}
	return "done"
}

func formatClockTime(t time.Time) string { return t.UTC().Format("15:04:05Z") }
