package api

import (
	"fmt"
	"time"
)

// NewAskedSnapshot returns the record of a snapshot that a person asks for; without a name it gets one from the time.
// Its error is a *FieldError about the name, or a *RefusedError if the cluster cannot take a snapshot now.
func (c *Cluster) NewAskedSnapshot(name string, now time.Time) (Snapshot, error) {
	if name == "" {
		name = NewSnapshotName(SnapshotAsked, now)
	} else if err := ValidateSnapshotName(name); err != nil {
		return Snapshot{}, err
	}
	if why := c.refuseSnapshot(); why != "" {
		return Snapshot{}, c.refuseRequest("captured in a snapshot", why)
	}
	return Snapshot{Name: name, Cluster: c.Metadata.Name, ClusterUID: c.Metadata.UID, Reason: SnapshotAsked,
		State: SnapshotWanted, AskedAt: now.UTC()}, nil
}

// refuseSnapshot says why the cluster cannot take a snapshot; empty if it can.
func (c *Cluster) refuseSnapshot() string {
	name, st := c.Metadata.Name, &c.Status
	switch {
	case st.Phase == PhaseDeleting:
		return "it is being deleted"
	case st.Restore != nil && st.Phase != PhaseError:
		return st.Restore.describeUnderWay()
	case st.Phase == PhaseStopped:
		return "it has no machines. To start it: skyctl start cluster " + name
	case st.Phase == PhaseInit, st.Phase == PhaseProvisioning:
		return "it is being created"
	case st.Phase == PhaseError && !st.WasReady():
		return "its create failed"
	case st.Phase == PhaseError && st.Restore != nil:
		return st.Restore.describeFailed(name)
	case st.Phase == PhaseError && st.Failure != nil && st.Failure.Reason == string(DriftHeadLost):
		return "its head is lost"
	}
	return ""
}

// SnapshotRefusedError says why a snapshot cannot be deleted or verified.
type SnapshotRefusedError struct {
	Snapshot, Cluster string
	// Request is what was requested: "deleted", "verified", "restored" or "started from".
	Request string
	Why     string
}

func (e *SnapshotRefusedError) Error() string {
	return fmt.Sprintf("snapshot %s of cluster %s cannot be %s: %s", e.Snapshot, e.Cluster, e.Request, e.Why)
}

// Reason is Refused.
func (e *SnapshotRefusedError) Reason() string { return "Refused" }

// Final is true, because only another state changes it.
func (e *SnapshotRefusedError) Final() bool { return true }

// RefuseSnapshotDelete returns a *SnapshotRefusedError if this cluster needs a snapshot, of itself or of another one:
// it is stopped, or being restored.
func (c *Cluster) RefuseSnapshotDelete(s Snapshot) error {
	st, why := &c.Status, ""
	isOfStop := st.Stop != nil && st.Stop.Snapshot == s.Name && s.ClusterUID == c.Metadata.UID
	switch {
	case st.Phase == PhaseDeleting:
	case st.Restore != nil && st.Restore.Snapshot == s.Name && st.Restore.SnapshotUID == s.ClusterUID:
		why = st.Restore.describeUnderWay()
	case isOfStop && st.Phase == PhaseStopped:
		why = "it is stopped, and is started from it"
	case isOfStop:
		why = "it is being stopped"
	}
	if why == "" {
		return nil
	}
	return &SnapshotRefusedError{Snapshot: s.Name, Cluster: s.Cluster, Request: "deleted",
		Why: fmt.Sprintf("cluster %s needs it: %s", c.Metadata.Name, why)}
}

// RefuseStart returns a *SnapshotRefusedError if no cluster can be started from the snapshot.
func (s Snapshot) RefuseStart() error {
	if why := s.refuseUse(); why != "" {
		return &SnapshotRefusedError{Snapshot: s.Name, Cluster: s.Cluster, Request: "started from", Why: why}
	}
	return nil
}

// RefuseCheck returns a *SnapshotRefusedError unless the snapshot can be verified: it is kept off the machines.
func (s Snapshot) RefuseCheck() error {
	if s.State == SnapshotKept {
		return nil
	}
	return &SnapshotRefusedError{Snapshot: s.Name, Cluster: s.Cluster, Request: "verified", Why: s.refuseUse()}
}
