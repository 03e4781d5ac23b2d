package observe

import (
	"context"
	"slices"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/store"
)

// knownClusters is what etcd knows of clusters: the UIDs of those that it has, and the names of those that it has and
// nobody can read, or whose UID is not the one that its machines were launched under.
type knownClusters struct {
	uids  map[string]bool
	names []string
	// recorded are the machines on record, by UID, those of no cluster included.
	recorded map[string][]api.Machine
}

// mayOwnMachine says that a machine with these labels may be that of a cluster.
func (k knownClusters) mayOwnMachine(name, uid string) bool {
	return k.uids[uid] || slices.Contains(k.names, name)
}

// hasRecordOf says that a listed machine is on record under its UID: by the cloud's own id, and with the labels that it
// bears. It is no copy of another one then.
func (k knownClusters) hasRecordOf(m cloud.Machine) bool {
	return m.ID != "" && slices.ContainsFunc(k.recorded[m.Owner.ClusterUID], func(r api.Machine) bool {
		return r.CloudID == m.ID && r.Index == m.Index && r.Incarnation == m.Incarnation
	})
}

// ownsOrphan says that an orphan is the recorded machine of a cluster: it is none.
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
			k.names = append(k.names, c.Metadata.Name) // somebody edited its UID: those of the name may be its machines
		}
	}
	return k, nil
}
