package api

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sky-shift/skyctl/pkg/lazyregexp"
)

// Snapshot is what is known of a snapshot of a cluster's etcd. The snapshot itself is on the machine that took it, or
// kept off the machines, or both.
type Snapshot struct {
	// Name is unique in the cluster.
	Name string `json:"name"`
	// Cluster and ClusterUID name the cluster, which may have been deleted since.
	Cluster    string `json:"cluster"`
	ClusterUID string `json:"cluster_uid"`
	// AuthorityUID is the UID of the cluster whose certificates and tokens the snapshot has: not ClusterUID if the
	// cluster was restored from a snapshot with others; empty in records of earlier versions.
	AuthorityUID string         `json:"authority_uid,omitempty"`
	Reason       SnapshotReason `json:"reason"`
	State        SnapshotState  `json:"state"`
	// AskedAt is when the snapshot was requested; zero if RKE2 took it by its own schedule. TakenAt is the time of its
	// content by the clock of the machine.
	AskedAt time.Time `json:"asked_at,omitzero"`
	TakenAt time.Time `json:"taken_at,omitzero"`
	// Machine, Incarnation and NodeName are the server that took it.
	Machine     string `json:"machine,omitempty"`
	Incarnation string `json:"incarnation,omitempty"`
	NodeName    string `json:"node_name,omitempty"`
	// File is RKE2's name of the snapshot on that machine. OnMachine: the machine still has it.
	File      string `json:"file,omitempty"`
	OnMachine bool   `json:"on_machine,omitempty"`
	// Bytes and SHA256 (hexadecimal) are those of the snapshot as RKE2 took it.
	Bytes  int64  `json:"bytes,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	// Revision is that of etcd's last change. Keys are the numbers of live keys by the prefix of their registry, such
	// as /registry/pods.
	Revision int64            `json:"revision,omitempty"`
	Keys     map[string]int64 `json:"keys,omitempty"`
	// Versions, Labels and Spec are those of the cluster when the snapshot was taken.
	Versions Versions          `json:"versions,omitzero"`
	Labels   map[string]string `json:"labels,omitempty"`
	Spec     *ClusterSpec      `json:"spec,omitempty"`
	// Place is where the snapshot is kept off the machines: SnapshotPlaceSkyd, or the s3:// URL of a bucket and folder;
	// empty while it is not. Object is its name there, SealedBytes its size there.
	Place       string `json:"place,omitempty"`
	Object      string `json:"object,omitempty"`
	SealedBytes int64  `json:"sealed_bytes,omitempty"`
	// Failure is why the last try to take, keep or delete it failed. FailedAt is when.
	Failure  string    `json:"failure,omitempty"`
	FailedAt time.Time `json:"failed_at,omitzero"`
	// Check is its verification; nil if none was requested.
	Check *SnapshotCheck `json:"check,omitempty"`
}

// SnapshotPlaceSkyd is the place of snapshots in skyd's own directory.
const SnapshotPlaceSkyd = "skyd"

// SnapshotReason is why a snapshot was taken.
type SnapshotReason string

// The reasons of snapshots. Only scheduled ones are ever removed by skyctl itself.
const (
	SnapshotScheduled     SnapshotReason = "Scheduled"
	SnapshotAsked         SnapshotReason = "Asked"
	SnapshotBeforeStop    SnapshotReason = "BeforeStop"
	SnapshotBeforeRestore SnapshotReason = "BeforeRestore"
)

// SnapshotState is how far a snapshot has come.
type SnapshotState string

// The states of a snapshot.
const (
	SnapshotWanted   SnapshotState = "Wanted"   // requested; not taken yet
	SnapshotTaken    SnapshotState = "Taken"    // on the machine only
	SnapshotKept     SnapshotState = "Kept"     // off the machines
	SnapshotFailed   SnapshotState = "Failed"   // it could not be taken
	SnapshotLost     SnapshotState = "Lost"     // nowhere any more
	SnapshotDeleting SnapshotState = "Deleting" // to be deleted wherever it is
)

// SnapshotCheck is a verification of a snapshot: it was restored apart, and its content was counted.
type SnapshotCheck struct {
	// AskedAt is when it was requested; StartedAt and At are when the last one started and ended, by the clock of skyd.
	AskedAt   time.Time `json:"asked_at,omitzero"`
	StartedAt time.Time `json:"started_at,omitzero"`
	At        time.Time `json:"at,omitzero"`
	// Result is empty before the first one has ended.
	Result SnapshotResult `json:"result,omitempty"`
	// Message says what was found, for people.
	Message string `json:"message,omitempty"`
	// Keys is the number of keys that were counted.
	Keys int64 `json:"keys,omitempty"`
}

// IsDue reports whether a verification was requested that has not ended.
func (c *SnapshotCheck) IsDue() bool { return c != nil && c.AskedAt.After(c.At) }

// SnapshotResult is the result of a verification.
type SnapshotResult string

// The results of verifications.
const (
	SnapshotProven  SnapshotResult = "Proven"  // it was restored, and has what it should have
	SnapshotDamaged SnapshotResult = "Damaged" // it cannot be restored, or lacks something
	SnapshotUnknown SnapshotResult = "Unknown" // it could not be verified
)

// IsUsable reports whether a cluster can be restored from the snapshot when its machines are gone.
func (s Snapshot) IsUsable() bool {
	return s.State == SnapshotKept && (s.Check == nil || s.Check.Result != SnapshotDamaged)
}

// IsAutomatic reports whether skyctl removes the snapshot itself once newer ones are there.
func (s Snapshot) IsAutomatic() bool { return s.Reason == SnapshotScheduled }

// Ref names the snapshot's cluster.
func (s Snapshot) Ref() Ref { return Ref{Name: s.Cluster, UID: s.ClusterUID} }

// KeyCount is the number of keys in the snapshot.
func (s Snapshot) KeyCount() int64 {
	var n int64
	for count := range maps.Values(s.Keys) {
		n += count
	}
	return n
}

// NewestUsableSnapshot returns the usable snapshot with the newest content; nil if there is none.
func NewestUsableSnapshot(all []Snapshot) *Snapshot {
	usable := slices.DeleteFunc(slices.Clone(all), func(s Snapshot) bool { return !s.IsUsable() })
	if len(usable) == 0 {
		return nil
	}
	newest := slices.MaxFunc(usable, func(a, b Snapshot) int { return a.TakenAt.Compare(b.TakenAt) })
	return &newest
}

// SortSnapshots sorts snapshots by cluster and age, the newest first.
func SortSnapshots(all []Snapshot) {
	slices.SortFunc(all, func(a, b Snapshot) int {
		return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.ClusterUID, b.ClusterUID),
			b.Time().Compare(a.Time()), cmp.Compare(a.Name, b.Name))
	})
}

// Time is when the snapshot was taken, or requested if it was not taken yet.
func (s Snapshot) Time() time.Time {
	if s.TakenAt.IsZero() {
		return s.AskedAt
	}
	return s.TakenAt
}

// NewSnapshotName returns the name of a snapshot that no person named: manual-20261129-003000, in UTC.
func NewSnapshotName(reason SnapshotReason, at time.Time) string {
	return snapshotPrefixes[reason] + at.UTC().Format("20060102-150405")
}

// snapshotPrefixes begin the names that NewSnapshotName returns. A person's name has none of them.
var snapshotPrefixes = map[SnapshotReason]string{
	SnapshotScheduled: "auto-", SnapshotAsked: "manual-", SnapshotBeforeStop: "stop-",
	SnapshotBeforeRestore: "before-restore-",
}

// WantSnapshotName describes what ValidateSnapshotName accepts.
const WantSnapshotName = "at most 63 lower-case letters, digits and '-', such as before-migration; auto-, stop- and " +
	"before-restore- begin the names that skyctl gives"

var snapshotName = lazyregexp.New(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// ValidateSnapshotName checks the name that a person gives to a new snapshot. Its error is a *FieldError.
func ValidateSnapshotName(name string) error {
	reserved := false
	for reason, prefix := range snapshotPrefixes {
		reserved = reserved || reason != SnapshotAsked && len(name) >= len(prefix) && name[:len(prefix)] == prefix
	}
	if !snapshotName.MatchString(name) || reserved {
		return &FieldError{Field: "name", Value: name, Want: WantSnapshotName}
	}
	return nil
}

// ConditionSnapshotsCurrent is True while the newest snapshot that is kept off the machines is as new as the cluster's
// schedule promises. Otherwise its message says why.
const ConditionSnapshotsCurrent ConditionType = "SnapshotsCurrent"

// RestoreMode is what a restore does with the machines.
type RestoreMode string

// The modes of a restore.
const (
	// RestoreInPlace: the server's machine stays, and so do the workers.
	RestoreInPlace RestoreMode = "InPlace"
	// RestoreNewServer: the server gets another machine; the workers stay.
	RestoreNewServer RestoreMode = "NewServer"
	// RestoreNewMachines: all machines are ended, and others are launched.
	RestoreNewMachines RestoreMode = "NewMachines"
)

// RestoreReason is why a cluster is restored.
type RestoreReason string

// The reasons of a restore.
const (
	RestoreAsked      RestoreReason = "Asked"
	RestoreServerLost RestoreReason = "ServerLost"
	RestoreStart      RestoreReason = "Start" // a stopped cluster is started
)

// RestoreRequest is a restore that is wanted or under way.
type RestoreRequest struct {
	// ID distinguishes restores: no machine is restored twice for the same one.
	ID string `json:"id"`
	// Snapshot is the name of the snapshot, and SnapshotUID the UID of its cluster: another one than the restored
	// cluster's only if a person forced it.
	Snapshot    string `json:"snapshot"`
	SnapshotUID string `json:"snapshot_uid"`
	// AuthorityUID is that of the snapshot; empty if its record does not say it.
	AuthorityUID string        `json:"authority_uid,omitempty"`
	Mode         RestoreMode   `json:"mode"`
	Reason       RestoreReason `json:"reason"`
	AskedAt      time.Time     `json:"asked_at"`
	// LostServer is the incarnation of the server that is replaced, with RestoreNewServer.
	LostServer string `json:"lost_server,omitempty"`
	// DiscardState: a person gave up the present state, so it is not kept as a snapshot first.
	DiscardState bool `json:"discard_state,omitempty"`
	// Excluded: the original server can no longer serve, by the step that made sure of it.
	Excluded bool `json:"excluded,omitempty"`
	// Changed: this restore, or one before it that failed, has started to change the cluster. The state of before is
	// kept as snapshot Saved, or NotKept is why it is not; both are empty if there was none.
	Changed bool   `json:"changed,omitempty"`
	Saved   string `json:"saved,omitempty"`
	NotKept string `json:"not_kept,omitempty"`
	// FailedAt is when it has failed and the cluster went to ERROR; zero if it did not. It then waits for a person.
	FailedAt time.Time `json:"failed_at,omitzero"`
}

// RestoreResult is the last restore of a cluster that has ended.
type RestoreResult struct {
	Snapshot string        `json:"snapshot"`
	Reason   RestoreReason `json:"reason"`
	// StateOf is the time of the state that was restored, and Until the time up to which changes may be lost: when the
	// restore was requested, or the server was last seen.
	StateOf time.Time `json:"state_of"`
	Until   time.Time `json:"until"`
	// StartedAt and At are when the restore started and ended.
	StartedAt time.Time `json:"started_at"`
	At        time.Time `json:"at"`
	// OtherCluster: the snapshot is one of another cluster, whose UID is SnapshotUID.
	OtherCluster bool   `json:"other_cluster,omitempty"`
	SnapshotUID  string `json:"snapshot_uid,omitempty"`
	// NotKept is why the state before the restore was not kept as a snapshot; empty if it was, or if there was none.
	NotKept string `json:"not_kept,omitempty"`
}

// StopRequest is a stop of a cluster that is wanted or done.
type StopRequest struct {
	AskedAt time.Time `json:"asked_at"`
	// Snapshot is the one that the cluster is started from.
	Snapshot string `json:"snapshot"`
}

// NewRestoreID returns an id from random bytes, such as those of a UUID.
func NewRestoreID(uuid string) string { return fmt.Sprintf("restore-%.8s", uuid) }
