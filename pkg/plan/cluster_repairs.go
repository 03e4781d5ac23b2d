package plan

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// planStrayNodes are Nodes of machines that are no more.
func (d *planner) planStrayNodes() {
	own := map[string]bool{}
	for _, m := range d.c.Status.Machines {
		own[m.NodeName] = true
	}
	for _, name := range slices.Sorted(maps.Keys(d.w.Nodes)) {
		if own[name] || !strings.HasPrefix(name, "sky-"+d.c.Metadata.Name+"-") {
			continue
		}
		if d.w.Nodes[name].Ready {
			d.reportDrift(name, api.DriftNodeExtra, "a Node that is Ready belongs to no machine of the cluster",
				"only reported")
			continue
		}
		d.requestAction(api.Action{
			Kind: api.ActionForgetNode, Index: -1, Machine: name, Node: name, Reason: api.DriftNodeExtra,
			Message: "its machine is no more",
		}, "it is forgotten")
	}
}

func (d *planner) planKubeconfigFile() {
	if d.w.KubeconfigFile != "" {
		d.requestAction(api.Action{
			Kind: api.ActionWriteKubeconfig, Reason: api.DriftKubeconfigFile, Message: d.w.KubeconfigFile,
		}, "it is written again")
	}
}

func (d *planner) planCredentialRefresh() {
	head := d.places[0]
	if head == nil || d.w.CredentialsExpire.IsZero() || d.w.CredentialsExpire.Sub(d.w.At) > d.p.ExpiresWithin {
		return
	}
	a := newMachineAction(head, api.ActionRefresh, api.DriftCredentialsAge, "the kubeconfig's certificate ends at "+
		d.w.CredentialsExpire.UTC().Format(time.RFC3339))
	past := d.pastRepairs(a)
	if n := len(past); n > 0 && !isFailedRepair(past[n-1]) {
		// It restarts the head's server. What was fetched then is what there is.
		d.reportDrift(head.Name, a.Reason, a.Message,
			"they were fetched anew not long ago, and last no longer; tried again at "+
				formatClockTime(repairEndTime(past[n-1]).Add(d.p.Window)))
		return
	}
	d.requestAction(a, "they are fetched anew")
}

// planGPUStack waits until every place is as it should be: accelerators of a machine that is not there can't be
// offered.
func (d *planner) planGPUStack() {
	head := d.places[0]
	switch {
	case head == nil || d.w.GPU == "":
	case d.unsettled:
		d.reportDrift(head.Name, api.DriftGPU, d.w.GPU, "it is seen to once every node is Ready")
	default:
		d.requestAction(newMachineAction(head, api.ActionGPU, api.DriftGPU, d.w.GPU), "the GPU stack is applied again")
	}
}

// postponeForHead has workers wait while something is done to the head, which they need for everything.
func (d *planner) postponeForHead() {
	if !slices.ContainsFunc(d.actions, func(a api.Action) bool {
		return (isMachineAction(a) || a.Kind == api.ActionRecordAddress) && a.Index == 0
	}) {
		return
	}
	d.postponeActions("it waits for the head", func(a api.Action) bool { return isMachineAction(a) && a.Index != 0 })
}

// isMachineAction says that an action is one on a machine in its place.
func isMachineAction(a api.Action) bool {
	return slices.Contains([]api.ActionKind{
		api.ActionStartMachine, api.ActionReconfigure, api.ActionRestart, api.ActionReplace, api.ActionBringUp,
	}, a.Kind)
}

// limitParallelRepairs leaves but one of the workers that still exist to be replaced. Where most workers are not Ready
// it is hardly they that are broken: then none is replaced, and they are restarted one at a time.
func (d *planner) limitParallelRepairs() {
	workers := wantedMachineCount(d.c) - 1
	suspicious := workers > 1 && 2*len(d.unready) > workers
	replaced, restarted := suspicious, !suspicious
	next := "it is replaced once another one has been"
	if suspicious {
		next = "most workers are not Ready, so none is replaced: look at the head and at the network. A machine " +
			"that is terminated on the cloud is replaced"
	}
	d.postponeActions(next, func(a api.Action) bool {
		if a.Kind != api.ActionReplace || a.Reason == api.DriftMachineGone || a.Reason == api.DriftMachineUnready {
			return false
		}
		drop := replaced
		replaced = true
		return drop
	})
	if restarted {
		return
	}
	d.postponeActions("it is restarted after another one", func(a api.Action) bool {
		if a.Kind != api.ActionRestart || a.Reason == api.DriftUnitDead {
			return false
		}
		drop := restarted
		restarted = true
		return drop
	})
}

// postponeActions takes back actions, and says next of the drift that they were about.
func (d *planner) postponeActions(next string, which func(api.Action) bool) {
	d.actions = slices.DeleteFunc(d.actions, func(a api.Action) bool {
		drop := which(a)
		if drop {
			d.setNextStep(a.Machine, a.Reason, next)
		}
		return drop
	})
}
