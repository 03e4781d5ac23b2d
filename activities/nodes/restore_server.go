package nodes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/etcdsnapshot"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
)

// SnapshotInput names the snapshot from which a cluster is restored.
type SnapshotInput struct {
	Cluster api.Ref            `json:"cluster"`
	Restore api.RestoreRequest `json:"restore"`
}

// CheckedSnapshot is what a restore has to know of its snapshot.
type CheckedSnapshot struct {
	// StateOf is the time of its content.
	StateOf time.Time `json:"state_of"`
}

// CheckSnapshot reads the whole snapshot of a restore where it is kept. It fails if the cluster cannot be restored from
// it. It changes nothing.
func (a *Activities) CheckSnapshot(ctx context.Context, in SnapshotInput) (CheckedSnapshot, error) {
	const step = "check the snapshot"
	s, err := a.findSnapshot(ctx, in)
	if err == nil {
		err = a.refuseTwin(ctx, in, s)
	}
	if err == nil {
		_, err = a.Store.ReadSnapshotToken(ctx, s.Ref(), s.Name)
	}
	if err != nil {
		return CheckedSnapshot{}, activities.StepError(ctx, step, "", err)
	}
	file, err := a.copySnapshot(ctx, s)
	if err == nil {
		_, err = etcdsnapshot.Read(file.Path)
		file.Close()
	}
	if isDamaged(err) {
		err = errors.Join(err, a.recordDamage(ctx, s, err))
	}
	return CheckedSnapshot{StateOf: s.TakenAt}, activities.StepError(ctx, step, "", err)
}

func isDamaged(err error) bool {
	var (
		file    *activities.SnapshotDamagedError
		content *etcdsnapshot.DamagedError
	)
	return errors.As(err, &file) || errors.As(err, &content)
}

// recordDamage records that a snapshot is damaged, so that the restore of a lost server takes an older one next.
func (a *Activities) recordDamage(ctx context.Context, damaged api.Snapshot, why error) error {
	_, err := a.Store.UpdateSnapshot(ctx, damaged.Ref(), damaged.Name, func(s *api.Snapshot) error {
		if s.Check == nil {
			s.Check = &api.SnapshotCheck{}
		}
		s.Check.StartedAt, s.Check.At = a.Now(), a.Now()
		s.Check.Result, s.Check.Message = api.SnapshotDamaged, redact.Text(why.Error())
		return nil
	})
	return err
}

// findSnapshot reads the record of a restore's snapshot, and checks that the cluster can be restored from it.
func (a *Activities) findSnapshot(ctx context.Context, in SnapshotInput) (api.Snapshot, error) {
	c, err := a.Store.ReadClusterObject(ctx, in.Cluster)
	if err != nil {
		return api.Snapshot{}, err
	}
	s, err := a.Store.ReadSnapshot(ctx, api.Ref{Name: in.Cluster.Name, UID: in.Restore.SnapshotUID},
		in.Restore.Snapshot)
	if err != nil {
		return api.Snapshot{}, err
	}
	return s, c.CheckRestoreFrom(s, in.Restore, nil)
}

// refuseTwin fails if the restored cluster would have the certificates and tokens of another cluster that exists.
func (a *Activities) refuseTwin(ctx context.Context, in SnapshotInput, s api.Snapshot) error {
	c, err := a.Store.ReadClusterObject(ctx, in.Cluster)
	if err != nil {
		return err
	}
	twin, err := a.Store.FindTwin(ctx, c, s)
	if err != nil {
		return err
	}
	return c.CheckRestoreFrom(s, in.Restore, twin)
}

// copySnapshot copies a snapshot from where it is kept to a file beside skyd's own snapshots, and checks that it is
// complete. The caller closes the file, unless there is an error.
func (a *Activities) copySnapshot(ctx context.Context, s api.Snapshot) (*activities.ScratchFile, error) {
	f, err := activities.NewScratchFile(a.Snapshots.Dir)
	if err != nil {
		return nil, fmt.Errorf("make a file for snapshot %s: %w", s.Name, err)
	}
	copyCtx, cancel := activities.WithDeadline(ctx, a.Deadlines.Install)
	defer cancel()
	if err := a.Snapshots.CopyChecked(copyCtx, s, f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// RestoreInput is a restore of a server.
type RestoreInput struct {
	Machine activities.MachineRef `json:"machine"`
	Restore api.RestoreRequest    `json:"restore"`
}

// SendSnapshot copies the snapshot of a restore to the machine, if that has room for the restore. A server on it runs
// on.
func (a *Activities) SendSnapshot(ctx context.Context, in RestoreInput) error {
	return a.runStep(ctx, in.Machine, "send the snapshot", func(ctx context.Context, step *machineStep) error {
		s, err := a.findSnapshot(ctx, SnapshotInput{Cluster: in.Machine.Cluster, Restore: in.Restore})
		if err != nil {
			return err
		}
		h, err := a.connectToMachine(ctx, step)
		if err != nil {
			return err
		}
		state, err := rke2.ReserveRestore(ctx, h, in.Restore.ID, s.Bytes)
		if err != nil || state.Sent || state.Done {
			return err
		}
		step.report("reading snapshot " + s.Name)
		file, err := a.copySnapshot(ctx, s)
		if err != nil {
			return err
		}
		defer file.Close()
		revision, err := a.reserveRevision(ctx, in.Machine.Cluster, s)
		if err != nil {
			return err
		}
		if err := etcdsnapshot.Prepare(file.Path, revision-s.Revision); err != nil {
			return err
		}
		return a.sendFile(ctx, step, h, file.Path, rke2.RestoreFile(in.Restore.ID))
	})
}

// sendFile copies a file of this computer to the machine.
func (a *Activities) sendFile(ctx context.Context, step *machineStep, h *remote.Host, path, target string) error {
	sum, err := hashFile(path)
	if err != nil {
		return err
	}
	sendCtx, cancel := activities.WithDeadline(ctx, a.Deadlines.Install)
	defer cancel()
	return h.UploadFile(sendCtx, path, target, sum, func(done, total int64) {
		step.report(fmt.Sprintf("sending the snapshot: %d of %d MiB", done>>20, total>>20))
	})
}

// StopServer stops the server of a machine that is about to be restored.
func (a *Activities) StopServer(ctx context.Context, in RestoreInput) error {
	return a.runStep(ctx, in.Machine, "stop the server", func(ctx context.Context, step *machineStep) error {
		step.report("stopping the server")
		h, err := a.connectToMachine(ctx, step)
		if err != nil {
			return err
		}
		stopCtx, cancel := activities.WithDeadline(ctx, a.Deadlines.Server)
		defer cancel()
		return rke2.StopServer(stopCtx, h, in.Restore.ID)
	})
}

// RestoredServer is the result of RestoreServer.
type RestoredServer struct {
	// OldData is the directory on the machine with the data that the server had before; empty if it had none.
	OldData string `json:"old_data,omitempty"`
}

// RestoreServer restores the server of a machine from the snapshot that SendSnapshot has sent. StartHead starts it. A
// restore that is done is not repeated.
func (a *Activities) RestoreServer(ctx context.Context, in RestoreInput) (RestoredServer, error) {
	var result RestoredServer
	err := a.runStep(ctx, in.Machine, "restore the server", func(ctx context.Context, step *machineStep) error {
		token, err := a.Store.ReadSnapshotToken(ctx, api.Ref{Name: in.Machine.Cluster.Name,
			UID: in.Restore.SnapshotUID}, in.Restore.Snapshot)
		if err != nil {
			return err
		}
		step.report("restoring the server from snapshot " + in.Restore.Snapshot)
		h, err := a.connectToMachine(ctx, step)
		if err != nil {
			return err
		}
		node, err := a.newServerNode(ctx, step)
		if err != nil {
			return err
		}
		resetCtx, cancel := activities.WithDeadline(ctx, a.Deadlines.Server)
		defer cancel()
		state, err := rke2.RestoreServer(resetCtx, h, node, rke2.Restore{ID: in.Restore.ID, Token: string(token)})
		result.OldData = state.OldEtcd
		return err
	})
	return result, err
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path) //nolint:gosec // our own copy
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // only read from
	sum := sha256.New()
	_, err = io.Copy(sum, f)
	return hex.EncodeToString(sum.Sum(nil)), err
}
