package plan

import (
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// planKeyRestore asks for secrets to be restored that etcd has lost.
func (p *planner) planKeyRestore() {
	if len(p.observed.KeysMissing) > 0 {
		p.requestAction(api.Action{
			Kind: api.ActionRestoreKeys, Reason: api.DriftKeysMissing,
			Message: "etcd has lost " + strings.Join(p.observed.KeysMissing, ", ") + " of the cluster",
		}, "they are restored from the machines")
	}
}

const onceKeysAreThere = "nothing, until the keys of the cluster are restored"

// postponeForLostKeys has all that needs SSH wait for lost keys: without them a machine that is well looks like one
// that is out of reach, and a new one could not be made a part of the cluster.
func (p *planner) postponeForLostKeys() {
	if len(p.observed.KeysMissing) == 0 {
		return
	}
	p.postponeActions(onceKeysAreThere, func(a api.Action) bool {
		return isMachineAction(a) || a.Kind == api.ActionDisarm || a.Kind == api.ActionRefresh
	})
	if p.fail == nil {
		return
	}
	p.fail = nil
	for i := range p.drift {
		if strings.Contains(p.drift[i].Next, "goes to ERROR") {
			p.drift[i].Next = onceKeysAreThere
		}
	}
}
