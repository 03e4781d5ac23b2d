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

// ExpectedByNode returns the number of accelerators that each node of a cluster should offer.
func ExpectedByNode(c *api.Cluster) map[string]int {
	if !c.Spec.HasAccelerators() {
		return nil
	}
	expected := map[string]int{}
	for _, m := range c.Status.Machines {
		if count := c.Spec.AcceleratorsOf(m).Count; count > 0 && m.Leaving == "" {
			expected[m.NodeName] = count
		}
	}
	return expected
}
