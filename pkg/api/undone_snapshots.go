package api

import "slices"

// IsUndone reports whether a snapshot has a state that the restore has left: one after the state that was restored. Of
// a cluster that got the state of another one, all earlier snapshots are undone. The clock of a machine may differ from
// skyd's, so the time of the request counts too.
func (r *RestoreResult) IsUndone(s Snapshot) bool {
	if r == nil || s.Name == r.Snapshot && !r.OtherCluster {
		return false
	}
	before := s.TakenAt.Before(r.At) || !s.AskedAt.IsZero() && s.AskedAt.Before(r.At)
	return before && (s.TakenAt.After(r.StateOf) || r.OtherCluster)
}

// DropUndoneSnapshots returns snapshots of the cluster without those whose state its last restore has left. skyctl
// restores by itself only from the others: it must not revert what a person has restored.
func (c *Cluster) DropUndoneSnapshots(all []Snapshot) []Snapshot {
	return slices.DeleteFunc(slices.Clone(all), c.Status.Restored.IsUndone)
}

// ProtectedSnapshots are the names of snapshots that skyctl does not remove by itself, by the UID of their cluster:
// NeededSnapshots, and of each cluster the one from which it would restore a lost server.
func ProtectedSnapshots(clusters []Cluster, all []Snapshot) map[string]map[string]bool {
	protected := NeededSnapshots(clusters)
	for _, c := range clusters {
		uid := c.Metadata.UID
		current := slices.DeleteFunc(c.DropUndoneSnapshots(all), func(s Snapshot) bool { return s.ClusterUID != uid })
		newest := NewestUsableSnapshot(current)
		if newest == nil {
			continue
		}
		if protected[uid] == nil {
			protected[uid] = map[string]bool{}
		}
		protected[uid][newest.Name] = true
	}
	return protected
}
