package stack

import (
	"context"

	"github.com/sky-shift/skyctl/pkg/api"
)

// UntestedNodes returns the nodes of a cluster on which no workload has used an accelerator since their machine was
// launched.
func UntestedNodes(ctx context.Context, client *Client, c *api.Cluster) ([]string, error) {
	incarnations := map[string]string{}
	for _, m := range c.Status.Machines {
		incarnations[m.NodeName] = m.Incarnation
	}
	return FindUnverifiedNodes(ctx, client, incarnations)
}

// ExpectedByNode returns the number of accelerators that each node of a cluster should offer. It leaves out machines
// that were never brought up: while they wait for a cloud with room, the others serve.
func ExpectedByNode(c *api.Cluster) map[string]int {
	if !c.Spec.HasAccelerators() {
		return nil
	}
	expected := map[string]int{}
	for _, m := range c.Status.Machines {
		if HasGPUs(c, m) {
			expected[m.NodeName] = c.Spec.AcceleratorsOf(m).Count
		}
	}
	return expected
}

// HasGPUs reports whether a machine of a cluster should offer accelerators now.
func HasGPUs(c *api.Cluster, m api.Machine) bool {
	return c.Spec.AcceleratorsOf(m).Count > 0 && m.Leaving == "" && m.WasBroughtUp()
}
