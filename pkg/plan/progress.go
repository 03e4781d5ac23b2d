package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// isConverged says whether the machines are those that the spec requests, and nothing that changes them runs.
func (p *planner) isConverged() bool {
	return p.cluster.IsReachedBy(p.cluster.Status.Machines) &&
		!slices.ContainsFunc(p.observed.InFlight, func(a api.Action) bool {
			return slices.Contains([]api.ActionKind{api.ActionAddMachines, api.ActionBringUp, api.ActionReplace,
				api.ActionRemove, api.ActionUpdateNode}, a.Kind)
		})
}

// What happens to machines, in the order in which describeProgress tells it.
const (
	adding    = "adding"
	removing  = "removing"
	replacing = "replacing"
	repairing = "repairing"
	updating  = "updating"
)

// describeProgress says, for people, what is under way or due. onlyRunning leaves out what does not run.
func (p *planner) describeProgress(due []api.Action, onlyRunning bool) string {
	all := slices.Concat(p.observed.InFlight, due)
	count := p.countProgress(all, onlyRunning)
	var parts []string
	for _, verb := range []string{adding, removing, replacing, repairing} {
		if count[verb] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", verb, count[verb]))
		}
	}
	switch n := count[updating]; n {
	case 0:
	case 1:
		parts = append(parts, "updating 1 node")
	default:
		parts = append(parts, fmt.Sprintf("updating %d nodes", n))
	}
	if len(parts) == 0 && slices.ContainsFunc(all, func(a api.Action) bool { return a.Kind == api.ActionAddMachines }) {
		parts = append(parts, "adding machines") // to a pool that changed meanwhile
	}
	for _, other := range []struct {
		kind api.ActionKind
		text string
	}{
		{api.ActionTerminate, "terminating extra machines"}, {api.ActionForgetNode, "deleting Nodes"},
		{api.ActionRestoreKeys, "restoring keys"}, {api.ActionRefresh, "renewing credentials"},
		{api.ActionWriteKubeconfig, "writing the kubeconfig file"}, {api.ActionGPU, "repairing the GPU stack"},
	} {
		if slices.ContainsFunc(all, func(a api.Action) bool { return a.Kind == other.kind }) {
			parts = append(parts, other.text)
		}
	}
	return strings.Join(parts, ", ")
}

func (p *planner) countProgress(all []api.Action, onlyRunning bool) map[string]int {
	count := map[string]int{}
	acted := map[int]api.ActionKind{}
	for _, a := range all {
		if isMachineAction(a) || a.Kind == api.ActionRecordAddress || a.Kind == api.ActionDisarm ||
			a.Kind == api.ActionUpdateNode {
			acted[a.Index] = a.Kind
		}
	}
	for _, m := range p.records {
		if onlyRunning && p.runningOn(m) == nil {
			continue
		}
		kind, acts := acted[m.Index]
		switch {
		case p.leaving[m] != "":
			count[removing]++
		case kind == api.ActionUpdateNode:
			count[updating]++
		case kind == api.ActionReplace, m.ReplaceAsked, p.outdated[m] != "", p.isBeingReplaced(m):
			count[replacing]++
		case !wasBroughtUp(m):
			count[adding]++
		case acts:
			count[repairing]++
		}
	}
	for _, pool := range p.cluster.Spec.Pools {
		if !onlyRunning || p.inFlight[targetOf(api.Action{Kind: api.ActionAddMachines, Pool: pool.Name})] != nil {
			count[adding] += p.countMissing(pool)
		}
	}
	return count
}
