package plan

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// planStrayNodes are Nodes of machines that are no more.
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
			p.reportDrift(name, api.DriftNodeExtra, "a Node that is Ready belongs to no machine of the cluster",
				"only reported")
			continue
		}
		p.requestAction(api.Action{
			Kind: api.ActionForgetNode, Index: -1, Machine: name, Node: name, Reason: api.DriftNodeExtra,
			Message: "its machine is no more",
		}, "it is forgotten")
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
	head := p.machines[0]
	if head == nil || p.observed.CredentialsExpire.IsZero() || p.observed.CredentialsExpire.Sub(p.observed.At) > p.policy.ExpiresWithin {
		return
	}
	a := newMachineAction(head, api.ActionRefresh, api.DriftCredentialsAge, "the kubeconfig's certificate ends at "+
		p.observed.CredentialsExpire.UTC().Format(time.RFC3339))
	past := p.pastRepairs(a)
	if n := len(past); n > 0 && !isFailedRepair(past[n-1]) {
		// It restarts the head's server. What was fetched then is what there is.
		p.reportDrift(head.Name, a.Reason, a.Message,
			"they were fetched anew not long ago, and last no longer; tried again at "+
				formatClockTime(repairEndTime(past[n-1]).Add(p.policy.Window)))
		return
	}
	p.requestAction(a, "they are fetched anew")
}

// planGPUStack waits until every place is as it should be: accelerators of a machine that is not there can't be
// offered.
func (p *planner) planGPUStack() {
	head := p.machines[0]
	switch {
	case head == nil || p.observed.GPU == "":
	case p.unsettled:
		p.reportDrift(head.Name, api.DriftGPU, p.observed.GPU, "it is seen to once every node is Ready")
	default:
		p.requestAction(newMachineAction(head, api.ActionGPU, api.DriftGPU, p.observed.GPU), "the GPU stack is applied again")
	}
}
