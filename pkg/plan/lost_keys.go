package plan

import (
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// planKeyRestore asks for secrets to be restored that etcd has lost.
func (d *planner) planKeyRestore() {
	if len(d.w.KeysMissing) > 0 {
		d.requestAction(api.Action{
			Kind: api.ActionRestoreKeys, Reason: api.DriftKeysMissing,
			Message: "etcd has lost " + strings.Join(d.w.KeysMissing, ", ") + " of the cluster",
		}, "they are restored from the machines")
	}
}

const onceKeysAreThere = "nothing, until the keys of the cluster are restored"

// postponeForLostKeys has all that needs SSH wait for lost keys: without them a machine that is well looks like one
// that is out of reach, and a new one could not be made a part of the cluster.
func (d *planner) postponeForLostKeys() {
	if len(d.w.KeysMissing) == 0 {
		return
	}
	d.postponeActions(onceKeysAreThere, func(a api.Action) bool {
		return isMachineAction(a) || a.Kind == api.ActionDisarm || a.Kind == api.ActionRefresh
	})
	if d.fail == nil {
		return
	}
	d.fail = nil
	for i := range d.drift {
		if strings.Contains(d.drift[i].Next, "goes to ERROR") {
			d.drift[i].Next = onceKeysAreThere
		}
	}
}
