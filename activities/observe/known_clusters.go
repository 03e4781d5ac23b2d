package observe

import (
	"context"
	"slices"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/store"
)

// knownClusters are the clusters in etcd: the UIDs of all, and the names of those whose record is damaged or has
// another UID than their machines were launched with.
type knownClusters struct {
	uids  map[string]bool
	names []string
	// recorded are the recorded machines by UID, including machines of no cluster.
	recorded map[string][]api.Machine
}

// mayOwnMachine reports whether a machine with these labels may belong to a cluster.
func (k knownClusters) mayOwnMachine(name, uid string) bool {
	return k.uids[uid] || slices.Contains(k.names, name)
}

// hasRecordOf reports whether a listed machine is recorded under its UID, with its id and its labels. If so, it is not
// a copy.
func (k knownClusters) hasRecordOf(m cloud.Machine) bool {
	return m.ID != "" && slices.ContainsFunc(k.recorded[m.Owner.ClusterUID], func(r api.Machine) bool {
		return r.CloudID == m.ID && r.Index == m.Index && r.Incarnation == m.Incarnation
	})
}

// ownsOrphan reports whether an orphan is the recorded machine of a cluster. If so, it is not an orphan.
func (k knownClusters) ownsOrphan(o api.Orphan) bool {
	return o.ID != "" && k.uids[o.ClusterUID] &&
		slices.ContainsFunc(k.recorded[o.ClusterUID], func(r api.Machine) bool {
			return r.CloudID == o.ID
		})
}

func (a *Activities) readKnownClusters(ctx context.Context) (knownClusters, error) {
	all, err := a.Store.ListClusters(ctx)
	k := knownClusters{uids: map[string]bool{}, names: store.CorruptClusterNames(err)}
	if err != nil && len(k.names) == 0 {
		return k, err
	}
	recorded, err := a.Store.ListMachineOwners(ctx)
	if err != nil {
		return k, err
	}
	if k.recorded, err = a.Store.ListAllMachines(ctx); err != nil {
		return k, err
	}
	for _, c := range all {
		k.uids[c.Metadata.UID] = true
		if c.Status.Phase == api.PhaseReady && !recorded[c.Metadata.UID] {
			k.names = append(k.names, c.Metadata.Name) // its UID was edited: machines with its name may be its own
		}
	}
	return k, nil
}
