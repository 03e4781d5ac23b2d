package plan

import (
	"fmt"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// maxNamed bounds how much a condition's message names.
const maxNamed = 3

// buildConditions are what can be said of the cluster now.
func (d *planner) buildConditions() []api.Condition {
	if d.c.Status.Phase != api.PhaseReady && d.c.Status.Phase != api.PhaseError {
		return nil
	}
	reachable := api.Condition{Type: api.Reachable, Status: api.ConditionTrue}
	if d.w.CloudError != "" {
		reachable = api.Condition{Type: api.Reachable, Status: api.ConditionUnknown, Reason: "CloudNotAsked",
			Message: d.w.CloudError}
	}
	if d.c.Status.Phase == api.PhaseError {
		return []api.Condition{reachable}
	}
	return append([]api.Condition{reachable, d.inSyncCondition()}, d.apiConditions()...)
}

func (d *planner) inSyncCondition() api.Condition {
	if d.w.CloudError != "" {
		return api.Condition{Type: api.InSync, Status: api.ConditionUnknown, Reason: "CloudNotAsked"}
	}
	var named []string
	for _, drift := range d.drift {
		if drift.Reason != api.DriftNodeCordoned { // that is somebody's wish
			named = append(named, strings.TrimSpace(drift.Machine+" "+string(drift.Reason)))
		}
	}
	if len(named) == 0 {
		return api.Condition{Type: api.InSync, Status: api.ConditionTrue}
	}
	return api.Condition{Type: api.InSync, Status: api.ConditionFalse, Reason: "Drift", Message: joinFirstNames(named)}
}

// joinFirstNames names the first few of many.
func joinFirstNames(names []string) string {
	if more := len(names) - maxNamed; more > 0 {
		return fmt.Sprintf("%s, and %d more", strings.Join(names[:maxNamed], ", "), more)
	}
	return strings.Join(names, ", ")
}

func (d *planner) apiConditions() []api.Condition {
	if d.isAPIUnreachable() {
		reason, message := string(api.DriftAPIUnreachable), d.describeUnreachableAPI()
		return []api.Condition{
			{Type: api.ControlPlaneReady, Status: api.ConditionUnknown, Reason: reason, Message: message},
			{Type: api.NodesReady, Status: api.ConditionUnknown, Reason: reason},
		}
	}
	if d.w.APIError != "" {
		return []api.Condition{
			{Type: api.ControlPlaneReady, Status: api.ConditionFalse, Reason: "Silent", Message: d.w.APIError},
			{Type: api.NodesReady, Status: api.ConditionUnknown, Reason: "APISilent"},
		}
	}
	nodes := api.Condition{Type: api.NodesReady, Status: api.ConditionTrue}
	var not []string
	for i := range wantedMachineCount(d.c) {
		m, name := d.places[i], api.MachineName(d.c.Metadata.Name, i)
		switch {
		case m == nil || !d.isNodeReady(m):
			not = append(not, name)
		case d.w.Nodes[m.NodeName].Pressure != "":
			not = append(not, name+" "+d.w.Nodes[m.NodeName].Pressure)
		}
	}
	if len(not) > 0 {
		shown := joinFirstNames(not)
		nodes = api.Condition{Type: api.NodesReady, Status: api.ConditionFalse, Reason: "NotReady",
			Message: fmt.Sprintf("%d of %d: %s", len(not), wantedMachineCount(d.c), shown)}
	}
	return []api.Condition{{Type: api.ControlPlaneReady, Status: api.ConditionTrue}, nodes}
}
