package plan

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// maxNamed bounds the names in a condition's message.
const maxNamed = 3

// buildConditions returns the conditions of the cluster now.
func (p *planner) buildConditions() []api.Condition {
	if p.cluster.Status.Phase != api.PhaseReady && p.cluster.Status.Phase != api.PhaseError {
		return nil
	}
	reachable := api.Condition{Type: api.Reachable, Status: api.ConditionTrue}
	if p.observed.CloudError != "" {
		reachable = api.Condition{Type: api.Reachable, Status: api.ConditionUnknown, Reason: "CloudNotAsked",
			Message: p.observed.CloudError}
	}
	if p.cluster.Status.Phase == api.PhaseError {
		return []api.Condition{reachable}
	}
	conditions := append([]api.Condition{reachable, p.inSyncCondition()}, p.apiConditions()...)
	if p.observed.AddOns != nil {
		conditions = append(conditions, *p.observed.AddOns)
	}
	return conditions
}

func (p *planner) inSyncCondition() api.Condition {
	if p.observed.CloudError != "" {
		return api.Condition{Type: api.InSync, Status: api.ConditionUnknown, Reason: "CloudNotAsked"}
	}
	var differences []string
	for _, drift := range p.drift {
		if drift.Reason != api.DriftNodeCordoned { // a person wants that
			differences = append(differences, strings.TrimSpace(cmp.Or(drift.Machine, drift.Pool)+" "+
				string(drift.Reason)))
		}
	}
	if len(differences) == 0 {
		return api.Condition{Type: api.InSync, Status: api.ConditionTrue}
	}
	return api.Condition{Type: api.InSync, Status: api.ConditionFalse, Reason: "Drift",
		Message: joinFirstNames(differences)}
}

// joinFirstNames joins the first few names and counts the rest.
func joinFirstNames(names []string) string {
	if more := len(names) - maxNamed; more > 0 {
		return fmt.Sprintf("%s, and %d more", strings.Join(names[:maxNamed], ", "), more)
	}
	return strings.Join(names, ", ")
}

func (p *planner) apiConditions() []api.Condition {
	if p.isAPIUnreachable() {
		reason, message := string(api.DriftAPIUnreachable), p.describeUnreachableAPI()
		return []api.Condition{
			{Type: api.ControlPlaneReady, Status: api.ConditionUnknown, Reason: reason, Message: message},
			{Type: api.NodesReady, Status: api.ConditionUnknown, Reason: reason},
		}
	}
	if p.observed.APIError != "" {
		return []api.Condition{
			{Type: api.ControlPlaneReady, Status: api.ConditionFalse, Reason: "Silent", Message: p.observed.APIError},
			{Type: api.NodesReady, Status: api.ConditionUnknown, Reason: "APISilent"},
		}
	}
	nodes := api.Condition{Type: api.NodesReady, Status: api.ConditionTrue}
	var unready []string
	count := 0
	for _, m := range p.records {
		if p.leaving[m] != "" || !isHead(m) && !wasBroughtUp(m) {
			continue // it is not part of the cluster any more, or not yet
		}
		count++
		switch node := p.observed.Nodes[m.NodeName]; {
		case !node.Ready:
			unready = append(unready, m.Name)
		case node.Pressure != "":
			unready = append(unready, m.Name+" "+node.Pressure)
		}
	}
	if len(unready) > 0 {
		nodes = api.Condition{Type: api.NodesReady, Status: api.ConditionFalse, Reason: "NotReady",
			Message: fmt.Sprintf("%d of %d: %s", len(unready), count, joinFirstNames(unready))}
	}
	return []api.Condition{{Type: api.ControlPlaneReady, Status: api.ConditionTrue}, nodes}
}
