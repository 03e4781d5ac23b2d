package plan

import (
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// planKeyRestore requests that secrets that etcd has lost are restored.
func (p *planner) planKeyRestore() {
	if len(p.observed.KeysMissing) > 0 {
		p.requestAction(api.Action{
			Kind: api.ActionRestoreKeys, Reason: api.DriftKeysMissing,
			Message: "etcd has lost " + strings.Join(p.observed.KeysMissing, ", ") + " of the cluster",
		}, "they are restored from the machines")
	}
}

const untilKeysRestored = "no action until the keys of the cluster are restored"

// postponeForLostKeys makes all actions that need SSH wait for lost keys. Without the keys a healthy machine looks
// unreachable, and a new one could not join the cluster.
func (p *planner) postponeForLostKeys() {
	if len(p.observed.KeysMissing) == 0 {
		return
	}
	p.postponeActions(untilKeysRestored, func(a api.Action) bool {
		return isMachineAction(a) || a.Kind == api.ActionAddMachines || a.Kind == api.ActionDisarm ||
			a.Kind == api.ActionRefresh || a.Kind == api.ActionUpdateNode
	})
	p.fail, p.restore = nil, nil
	for _, i := range p.fatal {
		p.drift[i].Next = untilKeysRestored
	}
}
