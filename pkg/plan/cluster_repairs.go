package plan

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// planStrayNodes plans for Nodes whose machine no longer exists.
func (p *planner) planStrayNodes() {
	own := map[string]bool{}
	for _, m := range p.cluster.Status.Machines {
		own[m.NodeName] = true
	}
	for _, name := range slices.Sorted(maps.Keys(p.observed.Nodes)) {
		if own[name] || !strings.HasPrefix(name, "sky-"+p.cluster.Metadata.Name+"-") {
			continue
		}
		if p.observed.Nodes[name].Ready {
			p.reportDrift(name, api.DriftNodeExtra, "a Ready Node has no machine in the cluster",
				"only reported")
			continue
		}
		if running := p.runningFor("", name); running != nil {
			p.reportDrift(name, api.DriftNodeExtra, "its machine no longer exists", describeRunning(running))
			continue
		}
		p.requestAction(api.Action{
			Kind: api.ActionForgetNode, Index: -1, Machine: name, Node: name, Reason: api.DriftNodeExtra,
			Message: "its machine no longer exists",
		}, "it is deleted")
	}
}

func (p *planner) planKubeconfigFile() {
	if p.observed.KubeconfigFile != "" {
		p.requestAction(api.Action{
			Kind: api.ActionWriteKubeconfig, Reason: api.DriftKubeconfigFile, Message: p.observed.KubeconfigFile,
		}, "it is written again")
	}
}

func (p *planner) planCredentialRefresh() {
	head := p.head
	if head == nil || p.observed.CredentialsExpire.IsZero() ||
		p.observed.CredentialsExpire.Sub(p.observed.At) > p.policy.ExpiresWithin {
		return
	}
	a := newMachineAction(head, api.ActionRefresh, api.DriftCredentialsAge, "the kubeconfig's certificate expires at "+
		p.observed.CredentialsExpire.UTC().Format(time.RFC3339))
	past := p.pastRepairs(a)
	if n := len(past); n > 0 && !isFailedRepair(past[n-1]) {
		// A refresh restarts the head's server, and another one now would return the same certificate.
		p.reportDrift(head.Name, a.Reason, a.Message,
			"the renewed credentials expire just as soon; next attempt at "+
				p.formatDueTime(repairEndTime(past[n-1]).Add(p.policy.Window)))
		return
	}
	p.requestAction(a, "they are renewed")
}

// planGPUStack plans for the GPU stack once no machine that it depends on needs a repair: a missing machine cannot
// offer accelerators.
func (p *planner) planGPUStack() {
	head := p.head
	switch {
	case head == nil || p.observed.GPU == "":
	case p.unsettled:
		p.reportDrift(head.Name, api.DriftGPU, p.observed.GPU,
			"it is repaired once every Node with accelerators is Ready")
	default:
		p.requestAction(newMachineAction(head, api.ActionGPU, api.DriftGPU, p.observed.GPU),
			"the GPU stack is applied again")
	}
}
