package activities

import (
	"context"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/store"
)

// ToOrphan returns the orphan record of a listed machine. A conflict is why skyctl does not terminate it automatically.
func ToOrphan(m cloud.Machine, provider, conflict string) api.Orphan {
	cloudName := m.Cloud
	if cloudName == "" {
		cloudName = provider
	}
	return api.Orphan{
		Cloud: cloudName, Name: m.Name, ID: m.ID, Cluster: m.Owner.Cluster, ClusterUID: m.Owner.ClusterUID,
		State: string(m.State), CreatedAt: m.CreatedAt, PricePerHour: m.PricePerHour, Conflict: conflict,
	}
}

// ReadOrphanConflicts returns the conflicts that earlier sweeps found, by the machines' keys.
func ReadOrphanConflicts(ctx context.Context, s *store.Store) (map[string]string, error) {
	before, err := s.ListOrphans(ctx)
	conflicts := map[string]string{}
	for _, o := range before {
		if o.Conflict != "" {
			conflicts[cloud.Machine{Name: o.Name, ID: o.ID}.Key()] = o.Conflict
		}
	}
	return conflicts, err
}
