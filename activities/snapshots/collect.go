package snapshots

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/etcdsnapshot"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/pkg/vault"
)

// CollectSnapshot keeps a snapshot off its machine: it streams the content into the vault, sealed, and records what it
// contains. It does nothing if that was done. An interrupted try leaves nothing.
func (a *Activities) CollectSnapshot(ctx context.Context, in Ref) error {
	err := a.collectSnapshot(ctx, in)
	if err != nil {
		a.recordFailure(ctx, in, err)
	}
	return activities.StepError(ctx, "keep snapshot "+in.Name+" off the machine", "", err)
}

func (a *Activities) collectSnapshot(ctx context.Context, in Ref) error {
	release, err := a.locks.Acquire(ctx, fileLock(in))
	if err != nil {
		return err
	}
	defer release()
	s, err := a.Store.ReadSnapshot(ctx, in.Cluster, in.Name)
	if err != nil || s.State != api.SnapshotTaken {
		return err
	}
	on, err := a.connectToServer(ctx, in.Cluster)
	if err != nil {
		return err
	}
	file, err := findFile(ctx, on, s)
	if err != nil {
		return err
	}
	token, err := rke2.ReadServerToken(ctx, on.host)
	if err != nil {
		return err
	}
	place, v, err := a.Files.VaultFor(ctx, on.cluster)
	if err != nil {
		return err
	}
	done, err := a.acquireCopy(ctx)
	if err != nil {
		return err
	}
	defer done()
	object := activities.SnapshotObject(in.Cluster, in.Name)
	kept, err := CopyToVault(ctx, on.host, file, a.Files.Dir, func(r io.Reader) (int64, error) {
		return a.putWithRoom(ctx, v, place, object, r, file.Bytes)
	})
	if damaged := new(etcdsnapshot.DamagedError); errors.As(err, &damaged) {
		_ = v.Delete(context.WithoutCancel(ctx), object) // it is recorded nowhere
	}
	if err != nil {
		return err
	}
	if err := a.Store.PutSnapshotToken(ctx, in.Cluster, in.Name, token); err != nil {
		return err
	}
	s, err = a.Store.UpdateSnapshot(ctx, in.Cluster, in.Name, func(s *api.Snapshot) error {
		if s.Place, s.Object, s.SealedBytes = place, object, kept.Sealed; s.State == api.SnapshotTaken {
			s.State = api.SnapshotKept
		}
		if s.Spec != nil { // the storage may have changed since it was taken
			s.Spec.Snapshots = on.cluster.Spec.Snapshots
		}
		s.Bytes, s.SHA256, s.Revision, s.Keys = kept.Bytes, kept.SHA256, kept.Contents.Revision, kept.Contents.Keys
		s.Failure, s.FailedAt = "", time.Time{}
		return nil
	})
	if missing := new(store.SnapshotMissingError); errors.As(err, &missing) { // its cluster was deleted meanwhile
		return v.Delete(ctx, object)
	}
	if err != nil {
		return err
	}
	a.announceKept(ctx, s)
	return a.tidyServer(ctx, on, s)
}

func findFile(ctx context.Context, on server, s api.Snapshot) (rke2.SnapshotFile, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	files, err := rke2.ListSnapshots(ctx, on.host)
	if err != nil {
		return rke2.SnapshotFile{}, err
	}
	i := slices.IndexFunc(files, func(f rke2.SnapshotFile) bool { return f.Name == s.File })
	if i < 0 || s.Incarnation != on.head.Incarnation {
		return rke2.SnapshotFile{}, &activities.SnapshotFileMissingError{Cluster: s.Cluster, Name: s.Name,
			Cause: fmt.Errorf("machine %s has no snapshot %s", on.head.Name, s.File)}
	}
	return files[i], nil
}

// announceKept tells people of a snapshot that one of them asked for.
func (a *Activities) announceKept(ctx context.Context, s api.Snapshot) {
	if s.IsAutomatic() {
		return
	}
	a.recordEvent(ctx, s, api.EventNormal, "SnapshotKept", fmt.Sprintf("snapshot %s is kept in %s: %.1f MiB, %s",
		s.Name, api.DescribeSnapshotPlace(s.Place), float64(s.Bytes)/(1<<20),
		activities.FormatCount(int(s.KeyCount()), "key")))
}

// tidyServer removes a kept snapshot from the server if the server never removes it itself. A try that fails is
// repeated with the next look at the snapshots.
func (a *Activities) tidyServer(ctx context.Context, on server, s api.Snapshot) error {
	if s.State != api.SnapshotKept || !s.OnMachine || s.IsByServerSchedule() {
		return nil
	}
	if err := rke2.DeleteSnapshot(ctx, on.host, s.File); err != nil {
		if activity.IsActivity(ctx) {
			activity.GetLogger(ctx).Info("a kept snapshot is still on its server", "snapshot", s.Name, "error", err)
		}
		return ctx.Err()
	}
	_, err := a.Store.UpdateSnapshot(ctx, s.Ref(), s.Name, func(s *api.Snapshot) error {
		s.OnMachine = false
		return nil
	})
	return err
}

// KeptContent is what was found while a snapshot was kept.
type KeptContent struct {
	Bytes, Sealed int64  // of the snapshot, and of its sealed file
	SHA256        string // of the snapshot, in hexadecimal
	Contents      etcdsnapshot.Contents
}

// CopyToVault streams a snapshot from its server to put, and counts what it contains. The content passes through a file
// without a name on the way, in a directory, because the database in it can't be read from a stream: nobody else can
// open that, and the system frees it if this process dies.
func CopyToVault(ctx context.Context, h *remote.Host, f rke2.SnapshotFile, dir string,
	put func(io.Reader) (int64, error)) (KeptContent, error) {
	scratch, err := activities.NewScratchFile(dir)
	if err != nil {
		return KeptContent{}, err
	}
	defer scratch.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	content := newSnapshotContent(ctx, f)
	stream := newChunkPipe(ctx)
	counted := make(chan countedKeys, 1)
	go func() {
		err := rke2.CopySnapshot(ctx, h, f, io.MultiWriter(scratch, content, stream))
		if err == nil {
			err = content.check()
		}
		if stream.closeWith(err); err == nil { // counts while put writes the last of it to its disk
			var keys countedKeys
			keys.contents, keys.err = etcdsnapshot.ReadChecked(scratch.Path)
			counted <- keys
		}
		close(counted)
	}()
	sealed, err := put(stream)
	if err != nil {
		cancel()
	}
	keys := <-counted
	if err == nil {
		err = keys.err
	}
	return KeptContent{Bytes: content.read, Sealed: sealed, SHA256: content.sum(), Contents: keys.contents}, err
}

type countedKeys struct {
	contents etcdsnapshot.Contents
	err      error
}

// putWithRoom puts a content into a vault. If that has no room, it removes older snapshots first, as far as the rules
// allow; see api.SnapshotsToFree.
func (a *Activities) putWithRoom(ctx context.Context, v vault.Vault, place, object string, r io.Reader,
	bytes int64) (int64, error) {
	if err := a.makeRoom(ctx, v, place, bytes); err != nil {
		return 0, err
	}
	return v.Put(ctx, object, vault.WithSize(r, bytes))
}
