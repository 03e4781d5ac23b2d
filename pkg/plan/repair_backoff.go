package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// newMachineAction returns an action on a recorded machine.
func newMachineAction(m *api.Machine, kind api.ActionKind, reason api.DriftReason, message string) api.Action {
	return api.Action{Kind: kind, Index: m.Index, Machine: m.Name, Incarnation: m.Incarnation, Pool: m.PoolName(),
		Reason: reason, Message: message}
}

// requestAction reports a drift and requests an action, which waits for one with the same target that runs, and if it
// was tried recently.
func (p *planner) requestAction(a api.Action, next string) {
	if running := p.inFlight[targetOf(a)]; running != nil {
		p.reportDriftOf(a, describeRunning(running))
		return
	}
	if at := p.earliestRetry(a); p.observed.At.Before(at) {
		p.reportDriftOf(a, next+" at "+p.formatDueTime(at)+" (back-off after a recent attempt)")
		return
	}
	p.reportDriftOf(a, next)
	if m := p.machines[a.Index]; isMachineAction(a) && m != nil {
		a.ID = p.cloudIDOf(m)
	}
	p.actions = append(p.actions, a)
}

// requestActionWithLimit requests an action, or sends the cluster to ERROR if the action is a repair and has reached
// its limit.
func (p *planner) requestActionWithLimit(a api.Action, next string, limit int) {
	if p.isAddition(a) || !p.isRepairLimitReached(a, limit) {
		p.requestAction(a, next)
		return
	}
	p.reportFatalDrift(a.Machine, a.Reason, a.Message, "the cluster goes to ERROR; its machines are kept")
	p.failCluster(p.machines[a.Index], a.Reason,
		fmt.Sprintf("%s: %s, and repairs do not last. The cluster's machines are kept. Find the cause, then run "+
			"skyctl reconcile %s", a.Machine, a.Message, p.cluster.Metadata.Name))
}

// isAddition says whether an action adds a machine to a pool, or waits for a cloud to give one. Such actions are tried
// again for as long as the machine is wanted: the rest of the cluster works without it.
func (p *planner) isAddition(a api.Action) bool {
	if a.Kind == api.ActionAddMachines {
		return true
	}
	m := p.machines[a.Index]
	return m != nil && !isHead(m) && (!wasBroughtUp(m) || a.Kind == api.ActionBringUp && p.isUnlaunched(m))
}

// pastRepairs returns the repairs with the same key as an action within the window, oldest first. It ignores records
// from the future, which would block repairs until then. Replacements that a person wanted do not count for one of a
// machine that does not work: that there was no other machine, or that pods did not leave, is no failed repair.
func (p *planner) pastRepairs(a api.Action) []api.Repair {
	var found []api.Repair
	for _, r := range p.cluster.Status.Repairs {
		if r.Action.RepairKey() == a.RepairKey() && p.isRecentRepair(r) &&
			(isWantedReplacement(a) || !isWantedReplacement(r.Action)) {
			found = append(found, r)
		}
	}
	return found
}

func (p *planner) isRecentRepair(r api.Repair) bool {
	return r.At.After(p.observed.At.Add(-p.policy.Window)) && !r.At.After(p.observed.At.Add(p.policy.Backoff))
}

// lastRepairOnMachine returns the last such repair of the same incarnation; nil if there was none.
func (p *planner) lastRepairOnMachine(a api.Action) *api.Repair {
	var last *api.Repair
	for _, r := range p.pastRepairs(a) {
		if r.Action.Incarnation == a.Incarnation {
			last = &r
		}
	}
	return last
}

// repairEndTime returns when a repair ended; its start if the end is not on record.
func repairEndTime(r api.Repair) time.Time {
	if r.Ended.Before(r.At) {
		return r.At
	}
	return r.Ended
}

// isFailedRepair says whether a repair failed, or was cut off before its result was recorded.
func isFailedRepair(r api.Repair) bool { return r.Error != "" || r.Ended.IsZero() }

const (
	// additionPauses bounds the pause before a machine is added again after failures, in multiples of Policy.Backoff:
	// a cloud may have capacity at any time.
	additionPauses = 4
	// quickAdditions is how often machines may be added to a pool within Policy.Backoff while nothing fails. A person
	// may scale a pool several times.
	quickAdditions = 10
	// quickUpdates is the same for the updates of a Node to the same labels and taints: a person may set a label,
	// remove it and set it again.
	quickUpdates = 5
)

// quickRepeats says how often an action may run within Policy.Backoff while nothing fails, if that is more than once.
var quickRepeats = map[api.ActionKind]int{
	api.ActionAddMachines: quickAdditions,
	api.ActionUpdateNode:  quickUpdates,
}

// earliestRetry returns when an action can run again. The pause doubles with each failure in a row. What was tried for
// another spec does not count.
func (p *planner) earliestRetry(a api.Action) time.Time {
	past := p.pastRepairs(a)
	if a.Reason == api.DriftMachineOutdated || a.Reason == api.DriftNodeOutdated {
		past = slices.DeleteFunc(past, func(r api.Repair) bool {
			return r.Action.Reason == a.Reason && !r.IsFor(a.Message)
		})
	}
	if len(past) == 0 {
		return time.Time{}
	}
	last := past[len(past)-1]
	pause, longest := p.policy.Backoff, p.policy.Window
	if p.isAddition(a) {
		longest = additionPauses * p.policy.Backoff
	}
	quick := quickRepeats[a.Kind]
	switch {
	case isFailedRepair(last):
	case len(past) < quick || startsWithNewMachine(a, last):
		return time.Time{}
	case quick > 0:
		return repairEndTime(past[len(past)-quick]).Add(pause)
	}
	for i := len(past) - 2; i >= 0 && isFailedRepair(past[i]) && pause < longest; i-- {
		pause *= 2
	}
	return repairEndTime(last).Add(pause)
}

// startsWithNewMachine says whether an action brings up the successor of a machine that was brought up. The pause
// before a machine is replaced again has passed then.
func startsWithNewMachine(a api.Action, last api.Repair) bool {
	return a.Kind == api.ActionBringUp && a.Incarnation != last.Action.Incarnation
}

// failedRepairWeight is the number of successful repairs that count as much as a failed one. A repair that is needed
// again and again does not help, but a cloud that takes back spot machines is no reason to fail the cluster.
const failedRepairWeight = 3

// isRepairLimitReached says whether a repair was tried as often as its limit allows.
func (p *planner) isRepairLimitReached(a api.Action, limit int) bool {
	weight := 0
	for _, r := range p.pastRepairs(a) {
		if weight++; isFailedRepair(r) {
			weight += failedRepairWeight - 1
		}
	}
	return weight >= failedRepairWeight*limit
}

// failCluster sends the cluster to ERROR. The message says what a person can do and which repairs were tried.
func (p *planner) failCluster(m *api.Machine, reason api.DriftReason, message string) {
	if p.fail == nil {
		p.fail = &api.Failure{Step: "repair", Machine: m.Name, Reason: string(reason),
			Message: message + p.formatRepairHistory(m.Index), At: p.observed.At}
	}
}

// The bounds of formatRepairHistory: repairs, and bytes of an error.
const (
	maxRepairsShown = 10
	maxErrorLength  = 200
)

// formatRepairHistory lists the recent repairs of a machine index.
func (p *planner) formatRepairHistory(index int) string {
	var tried []string
	for _, r := range p.cluster.Status.Repairs {
		if (isMachineAction(r.Action) || r.Action.Kind == api.ActionRestore) && r.Action.Index == index &&
			p.isRecentRepair(r) {
			tried = append(tried, fmt.Sprintf("%s at %s: %s", r.Action.Kind, formatClockTime(r.At),
				formatRepairOutcome(r)))
		}
	}
	if len(tried) == 0 {
		return ""
	}
	return ". Repairs tried: " + strings.Join(tried[max(0, len(tried)-maxRepairsShown):], "; ")
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
