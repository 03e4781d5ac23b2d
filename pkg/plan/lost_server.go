package plan

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/sky-shift/skyctl/pkg/api"
)

// NeedsSnapshot says whether Decide needs the cluster's newest snapshot, because its head may be lost.
func NeedsSnapshot(c *api.Cluster, observed Observation) bool {
	if c.Status.Phase != api.PhaseReady || observed.CloudError != "" {
		return false
	}
	p := newPlanner(c, observed, Policy{})
	return p.isAPISilent() && p.head != nil && p.listedMachine(p.head) == nil
}

// planUnlistedHead plans for a head that the cloud does not list. It is lost only if it does not answer either, and
// lists that are NotReadyFor apart both lack it.
func (p *planner) planUnlistedHead(m *api.Machine, message string) {
	unit, checked := p.observed.Units[m.Index]
	since := p.driftSince(m.Name, api.DriftHeadLost)
	if since.Before(m.ReservedAt) { // of the machine that was restored
		since = p.observed.At
	}
	at := since.Add(p.policy.NotReadyFor)
	switch {
	case !p.isAPISilent() || unit.Reached:
		p.reportDrift(m.Name, api.DriftMachineGone, message+", though it answers", listOutdated)
	case p.firstUnknown() != nil:
		// No loss yet, so that the time begins with the first complete list.
		p.reportDrift(m.Name, api.DriftMachineGone, message+" among the machines that it answers about",
			"no action until the cloud answers about "+p.firstUnknown().Name)
	case !checked:
		p.reportDrift(m.Name, api.DriftHeadLost, message, checkedOverSSH)
	case p.observed.At.Before(at):
		p.reportDrift(m.Name, api.DriftHeadLost, message, p.describeLoss(m)+" at "+p.formatDueTime(at)+
			" if it is not back by then")
	default:
		p.planLostHead(m, message)
	}
}

// firstUnknown returns a machine that the list names without its state; nil if there is none.
func (p *planner) firstUnknown() *ListedMachine {
	if i := slices.IndexFunc(p.observed.Listed, func(l ListedMachine) bool { return l.Unknown }); i >= 0 {
		return &p.observed.Listed[i]
	}
	return nil
}

// planLostHead requests that a lost head is restored, or fails the cluster.
func (p *planner) planLostHead(m *api.Machine, why string) {
	if refusal := p.refuseRestore(m); refusal != "" {
		p.failForLostHead(m, why, refusal)
		return
	}
	if at := p.earliestRetry(restoreOf(m)); p.observed.At.Before(at) {
		p.reportDrift(m.Name, api.DriftHeadLost, why, p.describeLoss(m)+" at "+p.formatDueTime(at)+
			" (back-off after a recent attempt)")
		return
	}
	p.reportFatalDrift(m.Name, api.DriftHeadLost, why, p.describeLoss(m))
	s := p.observed.Snapshot
	p.restore = &api.RestoreRequest{Snapshot: s.Name, SnapshotUID: s.ClusterUID, Mode: api.RestoreNewServer,
		Reason: api.RestoreServerLost, AskedAt: p.observed.At, LostServer: m.Incarnation}
}

// describeLoss says, for people, what becomes of a cluster whose head is lost.
func (p *planner) describeLoss(m *api.Machine) string {
	if p.refuseRestore(m) != "" {
		return "the cluster goes to ERROR"
	}
	s := p.observed.Snapshot
	return fmt.Sprintf("the server is restored from %s (%s old)", s.Name, p.formatSnapshotAge(s))
}

// refuseRestore says why a lost head is not restored without a person; empty if it is.
func (p *planner) refuseRestore(m *api.Machine) string {
	s := p.observed.Snapshot
	switch limit := p.cluster.Spec.SnapshotAgeLimit(); {
	case !p.cluster.Spec.RestoresLostServer():
		return "on_server_loss is " + api.OnServerLossWait
	case s == nil && p.observed.NoSnapshot != "":
		return p.observed.NoSnapshot
	case s == nil:
		return "no snapshot of it is kept off the machines"
	case s.IsFromFuture(p.observed.At):
		return fmt.Sprintf("the newest snapshot, %s, seems to be of %s, in the future: a clock was wrong, and its age "+
			"is unknown", s.Name, s.TakenAt.UTC().Format(time.RFC3339))
	case p.observed.At.Sub(s.TakenAt) >= limit:
		return fmt.Sprintf("the newest snapshot, %s, is %s old, and max_snapshot_age is %s", s.Name,
			p.formatSnapshotAge(s), duration.HumanDuration(limit))
	case p.countRestores(m) >= p.policy.Replacements:
		return fmt.Sprintf("%d restores within %s failed or did not last", p.countRestores(m),
			duration.HumanDuration(p.policy.Window))
	case p.listsNameOf(m):
		// The list may show an earlier machine instead of a newer one, which then exists.
		return fmt.Sprintf("the cloud lists another machine named %s", m.Name)
	case p.cluster.Status.Stop != nil:
		return "the cluster is being stopped"
	}
	return ""
}

// countRestores counts the restores of a lost head within the window, however they ended.
func (p *planner) countRestores(m *api.Machine) int { return len(p.pastRepairs(restoreOf(m))) }

// restoreOf is the restore of a head, as the record of repairs has it.
func restoreOf(m *api.Machine) api.Action { return api.Action{Kind: api.ActionRestore, Index: m.Index} }

// listsNameOf says whether the cloud lists a machine with the name of a recorded one.
func (p *planner) listsNameOf(m *api.Machine) bool {
	return slices.ContainsFunc(p.observed.Listed, func(l ListedMachine) bool { return l.Name == m.Name })
}

// failForLostHead fails a cluster whose head is gone, and with it the cluster's state. The workers are useless without
// it, but may hold data, so a person decides about them. Later sweeps do not restore the cluster, even if a snapshot
// appears: whoever saves data from the workers must not lose them meanwhile.
func (p *planner) failForLostHead(m *api.Machine, why, refusal string) {
	restore, otherwise := "", ""
	if s := p.observed.Snapshot; s != nil {
		restore = fmt.Sprintf("To restore the state of %s on a new machine, which the workers join: skyctl restore "+
			"cluster %s --snapshot %s (with --new-machines it ends the workers, too). ",
			s.TakenAt.UTC().Format(time.RFC3339), p.cluster.Metadata.Name, s.Name)
		otherwise = "otherwise "
	}
	p.reportFatalDrift(m.Name, api.DriftHeadLost, why, endsInError)
	p.failCluster(m, api.DriftHeadLost, fmt.Sprintf(
		"%s, the head, is lost (%s), and with it the cluster's state. It is not restored without a person: %s. %sThe "+
			"workers still run and cost money: %ssave their data and delete the cluster, or run the same create "+
			"again, which terminates them and builds a new cluster", m.Name, why, refusal, restore, otherwise))
}

func (p *planner) formatSnapshotAge(s *api.Snapshot) string {
	return duration.HumanDuration(max(p.observed.At.Sub(s.TakenAt), 0))
}
