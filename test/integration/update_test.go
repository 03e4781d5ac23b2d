package integration

import (
	"maps"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/test/eventually"
)

// changeTo changes a cluster as apply does.
func (w *world) changeTo(ref api.Ref, change func(*api.ClusterSpec), labels map[string]string) *api.Cluster {
	w.t.Helper()
	return w.awaitReached(w.change(ref, func(c *api.Cluster) error {
		spec := c.Spec.Clone()
		change(&spec)
		return c.ChangeTo(spec, labels, time.Now())
	}))
}

// checkNodes checks that each Node has exactly the labels and taints of its cluster.
func (w *world) checkNodes(c *api.Cluster) {
	w.t.Helper()
	for _, m := range c.Status.Machines {
		n := w.cloud.ReadNode(c.Metadata.UID, m.NodeName)
		if n == nil {
			w.t.Errorf("%s has no Node", m.Name)
			continue
		}
		var taints []string
		for _, t := range n.Spec.Taints {
			taints = append(taints, t.ToString())
		}
		wanted := c.NodeSettings(m)
		if !maps.Equal(n.Labels, wanted.Labels) || !slices.Equal(taints, wanted.Taints) {
			w.t.Errorf("the Node of %s has labels %v and taints %v, want %+v", m.Name, n.Labels, taints, wanted)
		}
	}
}

func incarnationsOf(c *api.Cluster) []string {
	var all []string
	for _, m := range c.Status.Machines {
		all = append(all, m.Incarnation)
	}
	return all
}

func TestChangedPoolReachesItsMachinesAndNodes(t *testing.T) {
	w := newWorld(t)
	ref := w.create("updated", 3, client.CreateOptions{})
	w.awaitReady(ref)
	w.awaitClosed(ref)
	before := incarnationsOf(w.get(ref))

	c := w.changeTo(ref, func(s *api.ClusterSpec) {
		s.Pools[0].Labels, s.Pools[0].Taints = map[string]string{"tier": "low"}, []string{"a=b:NoSchedule"}
	}, map[string]string{"team": "vision"})
	if !slices.Equal(incarnationsOf(c), before) {
		t.Error("machines were replaced for labels")
	}
	w.checkNodes(c)
	w.awaitClosed(ref)
	w.keep("converge-update-nodes", w.runsOf(ref.Name)[0])

	c = w.changeTo(ref, func(s *api.ClusterSpec) { s.Pools[0].Labels, s.Pools[0].Taints = nil, nil }, nil)
	w.checkNodes(c)
	// RKE2 sets the labels of its configuration again.
	w.awaitClosed(ref)
	if err := w.cloud.StopUnit("sky-updated-1", "failed"); err != nil {
		t.Fatal(err)
	}
	w.sweepUntil(ref, func(c *api.Cluster) bool { return len(c.Status.Repairs) > 0 && isRestarted(c) })
	w.checkNodes(w.get(ref))

	c = w.changeTo(ref, func(s *api.ClusterSpec) { s.Pools[0].Machine.CPUs = "4+" }, map[string]string{"team": "nlp"})
	w.awaitClosed(ref)
	w.keep("converge-replace-outdated", w.runsOf(ref.Name)[0])
	for i, m := range c.Status.Machines {
		want := map[int]string{0: "2+"}[i]
		if want == "" {
			want = "4+"
		}
		if replaced := m.Incarnation != before[i]; m.Spec == nil || m.Spec.CPUs != want || replaced != (i > 0) ||
			m.Index != i {
			t.Errorf("%s, replaced: %v, has the spec %+v", m.Name, replaced, m.Spec)
		}
	}
	w.checkNodes(c)
	w.healthy(ref, 3)
}

func isRestarted(c *api.Cluster) bool {
	return slices.ContainsFunc(c.Status.Repairs, func(r api.Repair) bool {
		return r.Action.Kind == api.ActionRestart && !r.Ended.IsZero() && r.Error == ""
	})
}

// sweepUntil sweeps until a cluster is as a test wants.
func (w *world) sweepUntil(ref api.Ref, is func(*api.Cluster) bool) {
	w.t.Helper()
	eventually.Holds(w.t, "sweeps repair "+ref.Name, func() bool {
		w.sweep(ref.Name)
		w.awaitClosed(ref)
		return is(w.get(ref))
	})
}

func TestLabelThatSomebodyRemovedComesBack(t *testing.T) {
	w := newWorld(t)
	ref := w.create("relabeled", 2, client.CreateOptions{})
	c := w.awaitReady(ref)
	w.awaitClosed(ref)
	node := c.Status.Machines[1].NodeName
	if err := w.cloud.ChangeNode(ref.UID, node, func(n *corev1.Node) { n.Labels = nil }); err != nil {
		t.Fatal(err)
	}
	w.sweepUntil(ref, func(*api.Cluster) bool {
		return w.cloud.ReadNode(ref.UID, node).Labels[api.NodeLabelPool] == api.DefaultPool
	})
	w.checkNodes(w.get(ref))
}
