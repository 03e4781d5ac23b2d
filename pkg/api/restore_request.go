package api

import (
	"cmp"
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/pkg/release"
)

// RefusedError says why a cluster in its phase cannot be restored, stopped or started.
type RefusedError struct {
	Cluster string
	Phase   Phase
	// Request is what was requested: "restored", "stopped" or "started".
	Request string
	Why     string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("cluster %s is %s and cannot be %s: %s", e.Cluster, e.Phase, e.Request, e.Why)
}

// Reason is Refused.
func (e *RefusedError) Reason() string { return "Refused" }

// Final is true, because only another phase changes it.
func (e *RefusedError) Final() bool { return true }

func (c *Cluster) refuseRequest(request, why string) error {
	return &RefusedError{Cluster: c.Metadata.Name, Phase: c.Status.Phase, Request: request, Why: why}
}

// RestoreWish is a restore that a person asks for.
type RestoreWish struct {
	// ID is that of NewRestoreID.
	ID       string
	Snapshot Snapshot
	// NewMachines: all machines are ended, and others are launched.
	NewMachines bool
	// Force accepts the snapshot of another cluster, on new machines.
	Force bool
	// Twin is the cluster that FindTwin finds for the snapshot; nil if there is none.
	Twin *Cluster
	// DiscardState: the present state is not kept as a snapshot first.
	DiscardState bool
	// LostServer is the incarnation of the server whose machine is lost (LostServer of the cluster); else empty.
	LostServer string
	At         time.Time
}

// RequestRestore records that the cluster is to be restored. It returns false if the same restore is already wanted or
// under way. Its error is a *FieldError if the snapshot is another cluster's, and a *RefusedError if the phase or the
// state of the snapshot does not allow it, the snapshot has a twin, or DiscardState comes too late; then nothing is
// changed.
func (c *Cluster) RequestRestore(w RestoreWish) (changed bool, err error) {
	wanted := RestoreRequest{ID: w.ID, Snapshot: w.Snapshot.Name, SnapshotUID: w.Snapshot.ClusterUID,
		AuthorityUID: w.Snapshot.AuthorityUID, Mode: RestoreInPlace, Reason: RestoreAsked, AskedAt: w.At.UTC(),
		DiscardState: w.DiscardState}
	switch {
	case w.NewMachines:
		wanted.Mode = RestoreNewMachines
	case w.LostServer != "":
		wanted.Mode, wanted.LostServer = RestoreNewServer, w.LostServer
	}
	under := c.Status.Restore
	if under != nil && under.isSameAs(wanted) && c.Status.Phase != PhaseDeleting {
		return c.continueRestore(w.DiscardState)
	}
	if why := c.refuseRestore(w.NewMachines); why != "" {
		return false, c.refuseRequest("restored", why)
	}
	if err := w.validateSnapshot(c); err != nil {
		return false, err
	}
	if under != nil && under.hasChanged() { // the state of before is replaced already
		wanted.Changed, wanted.Saved, wanted.NotKept = true, under.Saved, under.NotKept
	}
	c.Status.Restore = &wanted
	return true, nil
}

// continueRestore lets the requested restore go on if it has failed, and returns whether it has.
func (c *Cluster) continueRestore(discardState bool) (bool, error) {
	under, phase := c.Status.Restore, c.Status.Phase
	keeps := !under.DiscardState && !under.hasChanged() && phase != PhaseProvisioning && phase != PhaseStopped
	if keeps && discardState {
		return false, c.refuseRequest("restored without keeping its state", under.describeUnderWay()+" and keeps its "+
			"state first. If that fails, nothing is changed; then run this command again")
	}
	failed := !under.FailedAt.IsZero() || phase == PhaseError
	under.Changed = under.hasChanged()
	under.FailedAt = time.Time{} // it goes on where it has failed
	under.DiscardState = under.DiscardState || failed && discardState
	return failed, nil
}

// hasChanged reports whether the restore has started to change the cluster. Records of earlier versions say so only
// once it has failed.
func (r *RestoreRequest) hasChanged() bool { return r.Changed || !r.FailedAt.IsZero() }

// isSameAs reports whether a restore has the same snapshot and ends the same machines.
func (r RestoreRequest) isSameAs(other RestoreRequest) bool {
	return r.Snapshot == other.Snapshot && r.SnapshotUID == other.SnapshotUID &&
		(r.Mode == RestoreNewMachines) == (other.Mode == RestoreNewMachines)
}

// refuseRestore says why the phase allows no restore; empty if it does.
func (c *Cluster) refuseRestore(onNewMachines bool) string {
	name, st := c.Metadata.Name, &c.Status
	switch {
	case st.Phase == PhaseDeleting:
		return "it is being deleted"
	case st.Restore != nil && st.Phase != PhaseError:
		return st.Restore.describeUnderWay() + ". To wait for it: skyctl get cluster " + name + " -w"
	case st.Phase == PhaseStopped && !onNewMachines:
		return "it has no machines. To start it from the snapshot of its stop: skyctl start cluster " + name +
			"; from another one: --new-machines"
	case st.IsStopWanted():
		return "it is being stopped. To wait for it: skyctl stop cluster " + name + " --wait"
	case st.Phase == PhaseInit, st.Phase == PhaseProvisioning:
		return "it is being created. To wait for it: skyctl get cluster " + name + " -w"
	case st.Phase == PhaseError && !st.WasReady():
		return "its create failed, so there is nothing to restore. Run the same create again, or delete it: skyctl " +
			"delete cluster " + name
	}
	return ""
}

func (r *RestoreRequest) describeUnderWay() string {
	if r.Reason == RestoreStart {
		return "it is being started from snapshot " + r.Snapshot
	}
	return "it is being restored from snapshot " + r.Snapshot
}

// describeFailed says that a restore failed, and how it goes on.
func (r *RestoreRequest) describeFailed(cluster string) string {
	text := "its restore failed, so no snapshot can be taken. To go on with it: skyctl restore cluster " + cluster +
		" --snapshot " + r.Snapshot
	if r.Mode == RestoreNewMachines {
		text += " --new-machines"
	}
	return text
}

// LostServer returns the incarnation of the cluster's server if its loss has put the cluster into ERROR, so that a
// restore needs a new server; else it returns nothing. The machines have to be read with the cluster.
func (c *Cluster) LostServer() string {
	failed := c.Status.Failure
	if c.Status.Phase != PhaseError || failed == nil || failed.Reason != string(DriftHeadLost) {
		return ""
	}
	head, err := c.Head()
	if err != nil {
		return ""
	}
	return head.Incarnation
}

// validateSnapshot checks whether a cluster can be restored from the snapshot.
func (w RestoreWish) validateSnapshot(c *Cluster) error {
	s := w.Snapshot
	refuse := func(why string) error { return c.refuseRequest("restored from snapshot "+s.Name, why) }
	isForeign := s.ClusterUID != c.Metadata.UID
	switch why := s.refuseUse(); {
	case isForeign && !w.Force:
		return &FieldError{Field: "snapshot", Value: s.Name, Want: fmt.Sprintf("a snapshot of cluster %s; this one is "+
			"of %s. To take it nevertheless, on new machines: --force --new-machines", c.Metadata.Name,
			s.describeOwner(c))}
	case isForeign && !w.NewMachines:
		return &FieldError{Field: "new-machines", Value: "false", Want: fmt.Sprintf("--new-machines with snapshot %s, "+
			"because it is of %s: its nodes are not those of these machines", s.Name, s.describeOwner(c))}
	case w.Twin != nil:
		return refuse(w.Twin.describeAsTwin(s))
	case why != "":
		return refuse(why + ". To see others: skyctl get snapshots --cluster " + s.Cluster)
	case parseRelease(s.releaseName()).IsNewerMinorThan(parseRelease(c.releaseName())):
		return refuse(fmt.Sprintf("it is of %s, a newer minor version than that of the cluster, %s", s.releaseName(),
			c.releaseName()))
	}
	return nil
}

// CheckRestoreFrom checks whether a restore that was requested can use the snapshot, which has the twin or none. Its
// error is a *RefusedError or a *FieldError.
func (c *Cluster) CheckRestoreFrom(s Snapshot, r RestoreRequest, twin *Cluster) error {
	return RestoreWish{Snapshot: s, NewMachines: r.Mode == RestoreNewMachines, Twin: twin,
		Force: r.SnapshotUID == s.ClusterUID}.validateSnapshot(c)
}

// describeAsTwin says why the cluster excludes a restore of another one from the snapshot.
func (c *Cluster) describeAsTwin(s Snapshot) string {
	name := c.Metadata.Name
	return fmt.Sprintf("cluster %s%s still exists (%s), and both would have the same certificates and tokens. Delete "+
		"it first: skyctl delete cluster %s", name, c.describeAuthority(s), c.Status.Phase, name)
}

// refuseUse says why no cluster can be restored from the snapshot; empty if one can.
func (s Snapshot) refuseUse() string {
	switch s.State {
	case SnapshotKept:
		if s.Check != nil && s.Check.Result == SnapshotDamaged {
			return "its verification found that it is damaged: " + s.Check.Message
		}
		return ""
	case SnapshotWanted:
		return "it is not taken yet"
	case SnapshotTaken:
		return "it is only on machine " + s.Machine + " so far"
	case SnapshotFailed:
		return "it could not be taken: " + s.Failure
	case SnapshotLost:
		return "it is nowhere any more"
	case SnapshotDeleting:
		return "it is being deleted"
	}
	return fmt.Sprintf("its state is %q", s.State)
}

// describeOwner names the snapshot's cluster, which may have the same name as c.
func (s Snapshot) describeOwner(c *Cluster) string {
	if s.Cluster == c.Metadata.Name {
		return "an earlier cluster with this name"
	}
	return "cluster " + s.Cluster
}

func (s Snapshot) releaseName() string { return cmp.Or(s.Versions.Kubernetes, s.Versions.RKE2) }

// releaseName is the release that machines of the cluster install.
func (c *Cluster) releaseName() string {
	if a := c.Status.Artifacts; a != nil && a.Version != "" {
		return a.Version
	}
	return cmp.Or(c.Status.Versions.Kubernetes, c.Status.Versions.RKE2, c.Spec.KubernetesVersion)
}

// parseRelease returns the zero version for text that is none.
func parseRelease(text string) release.Version {
	v, err := release.Parse(text)
	if err != nil {
		return release.Version{}
	}
	return v
}
