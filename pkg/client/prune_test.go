package client

import (
	"errors"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

func mustParseSelector(t *testing.T, text string) labels.Selector {
	t.Helper()
	s, err := labels.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPruneScopeContainsOnlyWhatApplyCreated(t *testing.T) {
	scope := PruneScope{Selector: mustParseSelector(t, "team=vision"), Applied: []string{"kept"}}
	for _, tt := range []struct {
		name string
		c    api.Cluster
		want bool
	}{
		{"created by apply, matches", newPrunable("gone"), true},
		{"named by a file", newPrunable("kept"), false},
		{"not created by apply", func() api.Cluster {
			c := newPrunable("own")
			c.Metadata.CreatedByApply = false
			return c
		}(), false},
		{"other labels", func() api.Cluster {
			c := newPrunable("web")
			c.Metadata.Labels = map[string]string{"team": "web"}
			return c
		}(), false},
		{"no labels", func() api.Cluster {
			c := newPrunable("bare")
			c.Metadata.Labels = nil
			return c
		}(), false},
		{"being deleted", func() api.Cluster {
			c := newPrunable("leaving")
			c.Status.Phase = api.PhaseDeleting
			return c
		}(), false},
		{"in ERROR", func() api.Cluster {
			c := newPrunable("failed")
			c.Status.Phase = api.PhaseError
			return c
		}(), true},
	} {
		if got := scope.contains(&tt.c); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func newPrunable(name string) api.Cluster {
	return api.Cluster{Metadata: api.Metadata{Name: name, CreatedByApply: true,
		Labels: map[string]string{"team": "vision"}}, Status: api.ClusterStatus{Phase: api.PhaseReady}}
}

func TestPruneWithoutBoundsIsRefused(t *testing.T) {
	c := newClient(t)
	for name, scope := range map[string]PruneScope{
		"no selector":    {Applied: []string{"a"}},
		"empty selector": {Applied: []string{"a"}, Selector: labels.Everything()},
		"no files":       {Selector: mustParseSelector(t, "team=vision")},
	} {
		if _, _, err := c.ListPruned(t.Context(), scope); !errors.Is(err, ErrPruneUnbounded) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPruneEndsWhatWasSeenAndNothingElse(t *testing.T) {
	world.StartWorker(t)
	for _, name := range []string{"prune-a", "prune-b", "prune-c"} {
		stored := storeCluster(t, name, api.PhaseReady)
		if _, err := world.Store.UpdateCluster(t.Context(), stored.Ref(), func(cl *api.Cluster) error {
			cl.Metadata.Labels = map[string]string{"team": "pruned"}
			cl.Metadata.CreatedByApply = name != "prune-c"
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	c := newClient(t)
	found, damaged, err := c.ListPruned(t.Context(), PruneScope{Selector: mustParseSelector(t, "team=pruned"),
		Applied: []string{"other"}})
	if err != nil || len(damaged) > 0 || len(found) != 2 {
		t.Fatalf("%v, %v, found %d", err, damaged, len(found))
	}
	if _, err := world.Store.UpdateSpec(t.Context(), found[1].Ref(), found[1].Metadata.Generation,
		func(cl *api.Cluster) error { cl.Metadata.Labels = map[string]string{"team": "web"}; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := c.PruneCluster(t.Context(), &found[0], ignoreText); err != nil {
		t.Error(err)
	}
	err = c.PruneCluster(t.Context(), &found[1], ignoreText)
	if changed := new(store.SpecConflictError); !errors.As(err, &changed) ||
		!strings.Contains(err.Error(), "cluster prune-b was changed meanwhile") {
		t.Errorf("got %v", err)
	}
	if phaseOf(t, "prune-b") != api.PhaseReady || phaseOf(t, "prune-c") != api.PhaseReady {
		t.Error("another cluster was deleted")
	}
	if err := c.AwaitGone(t.Context(), found[0].Ref(), patience, ignore); err != nil {
		t.Error(err)
	}
}
