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
	wanted, err := c.Spec.MachineRequest()
	if err != nil || wanted.Accelerators.Count == 0 {
		return nil
	}
	expected := map[string]int{}
	for _, m := range c.Status.Machines {
		expected[m.NodeName] = wanted.Accelerators.Count
	}
	return expected
}
