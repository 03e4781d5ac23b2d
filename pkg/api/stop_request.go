package api

import "time"

// RequestStop records that the cluster is to be stopped. It returns false if that is already wanted, or done. Its error
// is a *RefusedError; then nothing is changed.
func (c *Cluster) RequestStop(now time.Time) (changed bool, err error) {
	st := &c.Status
	if st.IsStopWanted() || st.Restore == nil && st.Phase == PhaseStopped {
		return false, nil
	}
	if why := c.refuseStop(); why != "" {
		return false, c.refuseRequest("stopped", why)
	}
	st.Stop = &StopRequest{AskedAt: now.UTC()}
	return true, nil
}

// IsStopWanted reports whether a cluster that runs is to be stopped. In ERROR, the record may still have a stop that is
// done: a restore of the stopped cluster has failed.
func (s *ClusterStatus) IsStopWanted() bool {
	return s.Stop != nil && s.Stop.Snapshot == "" && (s.Phase == PhaseReady || s.Phase == PhaseError)
}

// refuseStop says why the phase allows no stop; empty if it does.
func (c *Cluster) refuseStop() string {
	name, st := c.Metadata.Name, &c.Status
	switch {
	case st.Phase == PhaseDeleting:
		return "it is being deleted"
	case st.Restore != nil && st.Phase != PhaseError:
		return st.Restore.describeUnderWay() + ". To wait for it: skyctl get cluster " + name + " -w"
	case st.Phase == PhaseInit, st.Phase == PhaseProvisioning:
		return "it is being created. To wait for it: skyctl get cluster " + name + " -w"
	case st.Phase == PhaseError && !st.WasReady():
		return "its create failed. To end its machines: skyctl delete cluster " + name
	case st.Phase == PhaseError && st.Restore != nil:
		return st.Restore.describeFailed(name)
	case st.Phase == PhaseError && st.Failure != nil && st.Failure.Reason == string(DriftHeadLost):
		return "its head is lost, so no snapshot can be taken. To restore it: skyctl restore cluster " + name +
			" --snapshot NAME"
	}
	return ""
}

// RequestStart records that a stopped cluster is to be started: restored on new machines from the snapshot of its stop.
// The id is that of NewRestoreID. It returns false if the cluster is READY, or is being started. Its error is a
// *RefusedError; then nothing is changed.
func (c *Cluster) RequestStart(id string, now time.Time) (changed bool, err error) {
	st := &c.Status
	under := st.Restore != nil && st.Restore.Reason == RestoreStart && st.Phase != PhaseDeleting
	switch {
	case under:
		return st.Phase == PhaseError, nil // after a failure it goes on
	case st.Phase == PhaseReady && st.Stop == nil:
		return false, nil
	}
	if why := c.refuseStart(); why != "" {
		return false, c.refuseRequest("started", why)
	}
	st.Restore = &RestoreRequest{ID: id, Snapshot: st.Stop.Snapshot, SnapshotUID: c.Metadata.UID,
		Mode: RestoreNewMachines, Reason: RestoreStart, AskedAt: now.UTC()}
	return true, nil
}

// refuseStart says why the phase allows no start; empty if it does.
func (c *Cluster) refuseStart() string {
	name, st := c.Metadata.Name, &c.Status
	switch {
	case st.Phase == PhaseDeleting:
		return "it is being deleted"
	case st.Phase == PhaseReady:
		return "it is being stopped. To wait until it is STOPPED: skyctl stop cluster " + name + " --wait"
	case st.Restore != nil && st.Phase != PhaseError:
		return st.Restore.describeUnderWay()
	case st.Phase == PhaseInit, st.Phase == PhaseProvisioning:
		return "it is being created. To wait for it: skyctl get cluster " + name + " -w"
	case st.Phase != PhaseStopped:
		return "it was not stopped. See what is wrong with skyctl describe cluster " + name
	case st.Stop == nil || st.Stop.Snapshot == "":
		return "its record does not say from which snapshot. To choose one: skyctl get snapshots --cluster " + name +
			", then skyctl restore cluster " + name + " --snapshot NAME --new-machines"
	}
	return ""
}
