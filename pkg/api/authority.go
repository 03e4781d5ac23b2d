package api

import (
	"cmp"
	"slices"
)

// UnknownAuthority stands for the UID of a cluster that no record names.
const UnknownAuthority = "unknown"

// Authority returns the UID of the cluster whose certificates and tokens this one has: its own, unless it was restored
// from a snapshot with those of another one. It is UnknownAuthority if an earlier version restored it from the snapshot
// of another cluster and did not record its UID.
func (c *Cluster) Authority() string {
	restored := c.Status.Restored
	switch {
	case c.Status.AuthorityUID != "":
		return c.Status.AuthorityUID
	case restored != nil && restored.OtherCluster:
		return cmp.Or(restored.SnapshotUID, UnknownAuthority)
	}
	return c.Metadata.UID
}

// Authority returns the UID of the cluster whose certificates and tokens the snapshot has: that of its own cluster if
// its record is of an earlier version.
func (s Snapshot) Authority() string { return cmp.Or(s.AuthorityUID, s.ClusterUID) }

// RecordAuthority records whose certificates and tokens the cluster has after a restore, and has to be called before
// its result is recorded. A snapshot of the cluster itself that does not say it changes nothing.
func (c *Cluster) RecordAuthority(r RestoreRequest) {
	authority := r.AuthorityUID
	if r.SnapshotUID != c.Metadata.UID {
		authority = cmp.Or(authority, r.SnapshotUID)
	}
	c.Status.AuthorityUID = cmp.Or(authority, c.Authority())
}

// MayHaveTwin reports whether a cluster gets other certificates and tokens from a snapshot than it has.
func (c *Cluster) MayHaveTwin(s Snapshot) bool {
	return s.ClusterUID != c.Metadata.UID || s.AuthorityUID != "" && s.AuthorityUID != c.Authority()
}

// FindTwin returns the first of all clusters that may have the same certificates and tokens as c, if c was restored
// from the snapshot: the cluster of the snapshot, or the one whose certificates it has, in any phase, or one that has
// them or is getting them from a restore. It returns nil if there is none. A cluster that is deleted never comes back
// under its UID.
func FindTwin(all []Cluster, c *Cluster, s Snapshot) *Cluster {
	if !c.MayHaveTwin(s) {
		return nil
	}
	i := slices.IndexFunc(all, func(other Cluster) bool {
		return other.Metadata.UID != c.Metadata.UID && other.mayShareAuthority(s)
	})
	if i < 0 {
		return nil
	}
	return &all[i]
}

func (c *Cluster) mayShareAuthority(s Snapshot) bool {
	uids := []string{c.Metadata.UID, c.Authority()}
	if r := c.Status.Restored; r != nil {
		uids = append(uids, r.SnapshotUID)
	}
	if r := c.Status.Restore; r != nil {
		uids = append(uids, r.SnapshotUID, r.AuthorityUID)
	}
	isForeign := c.Authority() != c.Metadata.UID
	return slices.Contains(uids, s.ClusterUID) || slices.Contains(uids, s.Authority()) ||
		c.Authority() == UnknownAuthority || s.Authority() == UnknownAuthority && isForeign
}

// describeAuthority says in a clause what the cluster has in common with a snapshot; empty if it is its cluster.
func (c *Cluster) describeAuthority(s Snapshot) string {
	switch {
	case c.Metadata.UID == s.ClusterUID:
		return ""
	case c.Metadata.UID == s.Authority():
		return ", whose certificates the snapshot has,"
	case c.Authority() == UnknownAuthority || s.Authority() == UnknownAuthority:
		return ", which was restored from a snapshot of another cluster, perhaps of the same one,"
	}
	return ", which has the state of a snapshot of the same cluster,"
}
