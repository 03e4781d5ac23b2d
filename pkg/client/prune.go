package client

import (
	"context"
	"errors"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

// PruneScope says which clusters a prune ends.
type PruneScope struct {
	// Selector matches their labels. It is never empty.
	Selector labels.Selector
	// Applied are the names of the clusters that the files have.
	Applied []string
}

// ErrPruneUnbounded says that a prune has no selector, or no file, and could end every cluster.
var ErrPruneUnbounded = errors.New("a prune needs a selector that is not empty, and files with at least one cluster")

// contains reports whether a prune ends a cluster: an apply created it, the selector matches its labels, no file has
// it, and it is not being deleted.
func (p PruneScope) contains(c *api.Cluster) bool {
	return c.Metadata.CreatedByApply && c.Status.Phase != api.PhaseDeleting &&
		p.Selector.Matches(labels.Set(c.Metadata.Labels)) && !slices.Contains(p.Applied, c.Metadata.Name)
}

func (p PruneScope) isBounded() bool {
	return p.Selector != nil && !p.Selector.Empty() && len(p.Applied) > 0
}

// ListPruned returns the clusters that a prune ends, with their machines. Clusters that cannot be read completely are
// never among them; the second result names them. The error is ErrPruneUnbounded if the scope has no bounds.
func (c *Client) ListPruned(ctx context.Context, scope PruneScope) (pruned []api.Cluster, damaged []string,
	err error) {
	if !scope.isBounded() {
		return nil, nil, ErrPruneUnbounded
	}
	s, err := c.ConnectStore(ctx)
	if err != nil {
		return nil, nil, err
	}
	clusters, err := s.ListClustersWithMachines(ctx)
	if corrupt := new(store.CorruptError); err != nil && !errors.As(err, &corrupt) {
		return nil, nil, err
	}
	damaged = store.CorruptClusterNames(err)
	for _, cl := range clusters {
		if scope.contains(&cl) && !slices.Contains(damaged, cl.Metadata.Name) {
			pruned = append(pruned, cl)
		}
	}
	return pruned, damaged, nil
}

// PruneCluster is DeleteCluster for a cluster as a person has seen it in ListPruned: if its spec or its labels were
// changed since, the error is a *store.SpecConflictError, and nothing is deleted.
func (c *Client) PruneCluster(ctx context.Context, seen *api.Cluster, notice func(string)) error {
	unchanged := func(now *api.Cluster) error {
		if now.Metadata.Generation != seen.Metadata.Generation || !now.Metadata.CreatedByApply {
			return &store.SpecConflictError{Cluster: now.Metadata.Name, Seen: seen.Metadata.Generation,
				Current: now.Metadata.Generation}
		}
		return nil
	}
	return c.deleteIf(ctx, seen.Ref(), false, unchanged, notice)
}
