package plan

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// strayNodes are Nodes of machines that are no more.
func (d *deciding) strayNodes() {
	own := map[string]bool{}
	for _, m := range d.c.Status.Machines {
		own[m.NodeName] = true
	}
	for _, name := range slices.Sorted(maps.Keys(d.w.Nodes)) {
		if own[name] || !strings.HasPrefix(name, "sky-"+d.c.Metadata.Name+"-") {
			continue
		}
		if d.w.Nodes[name].Ready {
			d.report(name, api.DriftNodeExtra, "a Node that is Ready belongs to no machine of the cluster", "only reported")
			continue
		}
		d.ask(api.Action{
			Kind: api.ActionForgetNode, Index: -1, Machine: name, Node: name, Reason: api.DriftNodeExtra, Message: "its machine is no more",
		}, "it is forgotten")
	}
}

func (d *deciding) kubeconfig() {
	if d.w.KubeconfigFile != "" {
		d.ask(api.Action{
			Kind: api.ActionWriteKubeconfig, Reason: api.DriftKubeconfigFile, Message: d.w.KubeconfigFile,
		}, "it is written again")
	}
}

func (d *deciding) credentials() {
	head := d.places[0]
	if head == nil || d.w.CredentialsExpire.IsZero() || d.w.CredentialsExpire.Sub(d.w.At) > d.p.ExpiresWithin {
		return
	}
	a := on(head, api.ActionRefresh, api.DriftCredentialsAge, "the kubeconfig's certificate ends at "+d.w.CredentialsExpire.UTC().Format(time.RFC3339))
	past := d.past(a)
	if n := len(past); n > 0 && !vain(past[n-1]) {
		// It restarts the head's server. What was fetched then is what there is.
		d.report(head.Name, a.Reason, a.Message, "they were fetched anew not long ago, and last no longer; tried again at "+clock(ended(past[n-1]).Add(d.p.Window)))
		return
	}
	d.ask(a, "they are fetched anew")
}

// gpu waits until every place is as it should be: accelerators of a machine that is not there can't be offered.
func (d *deciding) gpu() {
	head := d.places[0]
	switch {
	case head == nil || d.w.GPU == "":
	case d.unsettled:
		d.report(head.Name, api.DriftGPU, d.w.GPU, "it is seen to once every node is Ready")
	default:
		d.ask(on(head, api.ActionGPU, api.DriftGPU, d.w.GPU), "the GPU stack is applied again")
	}
}

// headFirst has workers wait while something is done to the head, which they need for everything.
func (d *deciding) headFirst() {
	if !slices.ContainsFunc(d.actions, func(a api.Action) bool {
		return (onPlace(a) || a.Kind == api.ActionRecordAddress) && a.Index == 0
	}) {
		return
	}
	d.postpone("it waits for the head", func(a api.Action) bool { return onPlace(a) && a.Index != 0 })
}

// onPlace says that an action is one on a machine in its place.
func onPlace(a api.Action) bool {
	return slices.Contains([]api.ActionKind{
		api.ActionStartMachine, api.ActionReconfigure, api.ActionRestart, api.ActionReplace, api.ActionBringUp,
	}, a.Kind)
}

// fewAtOnce leaves but one of the workers that still exist to be replaced. Where most workers are not Ready it is hardly they
// that are broken: then none is replaced, and they are restarted one at a time.
func (d *deciding) fewAtOnce() {
	workers := numPlaces(d.c) - 1
	suspicious := workers > 1 && 2*len(d.unready) > workers
	replaced, restarted := suspicious, !suspicious
	next := "it is replaced once another one has been"
	if suspicious {
		next = "most workers are not Ready, so none is replaced: look at the head and at the network. A machine that is terminated on the cloud is replaced"
	}
	d.postpone(next, func(a api.Action) bool {
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
	d.postpone("it is restarted after another one", func(a api.Action) bool {
		if a.Kind != api.ActionRestart || a.Reason == api.DriftUnitDead {
			return false
		}
		drop := restarted
		restarted = true
		return drop
	})
}

// postpone takes back actions, and says next of the drift that they were about.
func (d *deciding) postpone(next string, which func(api.Action) bool) {
	d.actions = slices.DeleteFunc(d.actions, func(a api.Action) bool {
		drop := which(a)
		if drop {
			d.next(a.Machine, a.Reason, next)
		}
		return drop
	})
}
