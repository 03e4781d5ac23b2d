package skydstub

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

func (w *World) registerSnapshots(wk worker.Registry) {
	for name, run := range map[string]any{
		operation.WorkflowKeepSnapshots: w.runKeepSnapshots, operation.WorkflowVerifySnapshots: w.runVerifySnapshots,
		operation.WorkflowRestore: w.runRestore, operation.WorkflowStop: w.runStop,
		operation.WorkflowListLocalData: w.runListLocalData, operation.WorkflowCheckSnapshot: w.runCheckSnapshot,
		operation.WorkflowCheckMachines: w.runCheckMachines,
	} {
		wk.RegisterWorkflowWithOptions(run, workflow.RegisterOptions{Name: name})
	}
	for name, play := range map[string]any{
		"playKeepSnapshots": w.playKeepSnapshots, "playVerifySnapshots": w.playVerifySnapshots,
		"playRestore": w.playRestore, "playStop": w.playStop, "playListLocalData": w.playListLocalData,
		"playCheckSnapshot": w.playCheckSnapshot, "playCheckMachines": w.playCheckMachines,
		"readRequested": w.readRequested,
	} {
		wk.RegisterActivityWithOptions(play, activity.RegisterOptions{Name: name})
	}
}

// playSignalled plays once, and again for each signal that came meanwhile.
func playSignalled(ctx workflow.Context, play string, in ...any) error {
	changed := workflow.GetSignalChannel(ctx, operation.SignalChanged)
	for changed.ReceiveAsync(nil) { // the one that it was started with
	}
	for {
		if err := workflow.ExecuteActivity(withActivityOptions(ctx), play, in...).Get(ctx, nil); err != nil {
			return err
		}
		if !changed.ReceiveAsync(nil) {
			return nil
		}
	}
}

func (w *World) runKeepSnapshots(ctx workflow.Context, in operation.KeepSnapshotsInput) error {
	return playSignalled(ctx, "playKeepSnapshots", in)
}

func (w *World) runVerifySnapshots(ctx workflow.Context) error {
	return playSignalled(ctx, "playVerifySnapshots")
}

func (w *World) runRestore(ctx workflow.Context, in operation.RestoreInput) error {
	if err := playSignalled(ctx, "playRestore", in); err != nil {
		return err
	}
	return continueAsRequested(ctx, in.Cluster)
}

func (w *World) runStop(ctx workflow.Context, in operation.StopInput) error {
	if err := playSignalled(ctx, "playStop", in); err != nil {
		return err
	}
	return continueAsRequested(ctx, in.Cluster)
}

// continueAsRequested ends an operation, or continues as the one that was requested meanwhile.
func continueAsRequested(ctx workflow.Context, ref api.Ref) error {
	changed := workflow.GetSignalChannel(ctx, operation.SignalChanged)
	for {
		var next string
		err := workflow.ExecuteActivity(withActivityOptions(ctx), "readRequested", ref).Get(ctx, &next)
		if err != nil {
			return err
		}
		if next != "" {
			return workflow.NewContinueAsNewError(ctx, next, operation.NewRequestedInput(next, ref))
		}
		if !changed.ReceiveAsync(nil) {
			return nil
		}
	}
}

func (w *World) readRequested(ctx context.Context, ref api.Ref) (string, error) {
	c, err := w.Store.ReadCluster(ctx, ref.Name)
	if err != nil || c.Status.Phase == api.PhaseError {
		return "", err
	}
	return operation.RequestedOperation(c), nil
}

func (w *World) runListLocalData(ctx workflow.Context, ref api.Ref) (operation.LocalDataResult, error) {
	var r operation.LocalDataResult
	err := workflow.ExecuteActivity(withActivityOptions(ctx), "playListLocalData", ref).Get(ctx, &r)
	return r, err
}

func (w *World) runCheckSnapshot(ctx workflow.Context, in operation.CheckSnapshotInput) (
	operation.CheckSnapshotResult, error) {
	var r operation.CheckSnapshotResult
	err := workflow.ExecuteActivity(withActivityOptions(ctx), "playCheckSnapshot", in).Get(ctx, &r)
	return r, err
}

// playKeepSnapshots takes the snapshots that are wanted, keeps them, and forgets those that are to be deleted.
func (w *World) playKeepSnapshots(ctx context.Context, in operation.KeepSnapshotsInput) error {
	ctx, stop := startHeartbeat(ctx)
	defer stop()
	if p := w.behaviorOf(in.Cluster.Name).KeepSnapshots; p != nil {
		return p(ctx, w, in)
	}
	all, err := w.Store.ListSnapshots(ctx, in.Cluster.UID)
	if err != nil {
		return err
	}
	for _, s := range all {
		switch s.State {
		case api.SnapshotWanted:
			err = w.KeepSnapshot(ctx, in.Cluster, s.Name)
		case api.SnapshotDeleting:
			err = w.Store.ForgetSnapshot(ctx, in.Cluster, s.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// KeepSnapshot turns the record of a wanted snapshot into that of one that is kept in skyd's directory.
func (w *World) KeepSnapshot(ctx context.Context, ref api.Ref, name string) error {
	_, err := w.Store.UpdateSnapshot(ctx, ref, name, func(s *api.Snapshot) error {
		s.State, s.TakenAt, s.Place, s.Object = api.SnapshotKept, time.Now().UTC(), api.SnapshotPlaceSkyd, name
		s.Bytes, s.SealedBytes, s.Revision = 5<<20, 5<<20+200, 1234
		s.Keys = map[string]int64{"/registry/pods": 12, "/registry/configmaps": 30}
		s.Versions = api.Versions{RKE2: "v1.35.7+rke2r1", Kubernetes: "v1.35.7+rke2r1"}
		s.Failure, s.FailedAt = "", time.Time{}
		return nil
	})
	return err
}

// playVerifySnapshots proves every snapshot whose verification was requested.
func (w *World) playVerifySnapshots(ctx context.Context) error {
	ctx, stop := startHeartbeat(ctx)
	defer stop()
	all, err := w.Store.ListSnapshots(ctx, "")
	if err != nil {
		return err
	}
	for _, s := range all {
		if !s.Check.IsDue() {
			continue
		}
		if p := w.behaviorOf(s.Cluster).VerifySnapshot; p != nil {
			err = p(ctx, w, s)
		} else {
			err = w.EndCheck(ctx, s, api.SnapshotProven, "all 42 keys of 2 kinds are there")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// EndCheck records the result of a verification.
func (w *World) EndCheck(ctx context.Context, s api.Snapshot, result api.SnapshotResult, message string) error {
	_, err := w.Store.UpdateSnapshot(ctx, s.Ref(), s.Name, func(s *api.Snapshot) error {
		s.Check.StartedAt, s.Check.At = s.Check.AskedAt, s.Check.AskedAt.Add(42*time.Second)
		s.Check.Result, s.Check.Message, s.Check.Keys = result, message, 42
		return nil
	})
	return err
}

func (w *World) playRestore(ctx context.Context, in operation.RestoreInput) error {
	ctx, stop := startHeartbeat(ctx)
	defer stop()
	if p := w.behaviorOf(in.Cluster.Name).Restore; p != nil {
		return p(ctx, w, in)
	}
	return w.SucceedRestore(ctx, in.Cluster)
}

// SucceedRestore goes through a restore, or a start, that succeeds.
func (w *World) SucceedRestore(ctx context.Context, ref api.Ref) error {
	c, err := w.Store.ReadCluster(ctx, ref.Name)
	if err != nil || c.Status.Restore == nil {
		return err
	}
	wanted := *c.Status.Restore
	if err := w.MoveCluster(ctx, ref, api.PhaseProvisioning, api.MachinePrepared, "restore the snapshot"); err != nil {
		return err
	}
	if err := w.MoveCluster(ctx, ref, api.PhaseProvisioning, api.MachineReady, ""); err != nil {
		return err
	}
	_, err = w.Store.UpdateCluster(ctx, ref, func(c *api.Cluster) error {
		now := time.Now().UTC()
		c.Status.SetPhase(api.PhaseReady, "Restored", now)
		c.Status.Restored = &api.RestoreResult{Snapshot: wanted.Snapshot, Reason: wanted.Reason,
			StateOf: wanted.AskedAt.Add(-10 * time.Minute), Until: wanted.AskedAt, StartedAt: wanted.AskedAt, At: now}
		c.Status.Restore, c.Status.Stop, c.Status.Operation, c.Status.Failure = nil, nil, nil, nil
		return nil
	})
	return err
}

func (w *World) playStop(ctx context.Context, in operation.StopInput) error {
	ctx, stop := startHeartbeat(ctx)
	defer stop()
	if p := w.behaviorOf(in.Cluster.Name).Stop; p != nil {
		return p(ctx, w, in)
	}
	return w.SucceedStop(ctx, in.Cluster)
}

// SucceedStop goes through a stop that succeeds.
func (w *World) SucceedStop(ctx context.Context, ref api.Ref) error {
	const name = "stop-20261129-003000"
	c, err := w.Store.UpdateCluster(ctx, ref, func(c *api.Cluster) error {
		if c.Status.Stop != nil {
			c.Status.SetPhase(api.PhaseStopped, "Stopped", time.Now().UTC())
			c.Status.Stop.Snapshot = name
		}
		return nil
	})
	if err != nil || c.Status.Stop == nil {
		return err
	}
	if err := w.Store.CreateSnapshot(ctx, api.Snapshot{Name: name, Cluster: ref.Name, ClusterUID: ref.UID,
		Reason: api.SnapshotBeforeStop, State: api.SnapshotWanted}); err != nil {
		return err
	}
	if err := w.KeepSnapshot(ctx, ref, name); err != nil {
		return err
	}
	return w.MoveCluster(ctx, ref, api.PhaseStopped, api.MachineGone, "")
}

func (w *World) playListLocalData(_ context.Context, ref api.Ref) (operation.LocalDataResult, error) {
	if p := w.behaviorOf(ref.Name).ListLocalData; p != nil {
		return p()
	}
	return operation.LocalDataResult{}, nil
}

func (w *World) runCheckMachines(ctx workflow.Context, ref api.Ref) (operation.CheckMachinesResult, error) {
	var r operation.CheckMachinesResult
	err := workflow.ExecuteActivity(withActivityOptions(ctx), "playCheckMachines", ref).Get(ctx, &r)
	return r, err
}

func (w *World) playCheckMachines(_ context.Context, ref api.Ref) (operation.CheckMachinesResult, error) {
	if p := w.behaviorOf(ref.Name).CheckMachines; p != nil {
		return p()
	}
	return operation.CheckMachinesResult{}, nil
}

func (w *World) playCheckSnapshot(_ context.Context, in operation.CheckSnapshotInput) (operation.CheckSnapshotResult,
	error) {
	return operation.CheckSnapshotResult{Problem: w.behaviorOf(in.Cluster.Name).SnapshotProblem}, nil
}
