package snapshots

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
)

const (
	// isolatedMemoryGiB is what etcd, the API server and a kubelet need, and copiesInMemory how often the snapshot is
	// on the machine at once: the file, etcd's database, and what etcd holds of it in memory.
	isolatedMemoryGiB = 3
	copiesInMemory    = 4
	gib               = 1 << 30
)

// isolatedRestore is one restore of a snapshot on a machine apart. Its keys are in memory only.
type isolatedRestore struct {
	*Verifier
	snapshot api.Snapshot
	token    string
	release  api.Artifacts
	loginKey []byte // OpenSSH PEM
	name     string
	progress func(string)
}

// proveSnapshot restores a snapshot apart and returns the number of its keys. If they are not those that the snapshot
// should have, or it cannot be restored, isDamage is true for the error.
func (v *Verifier) proveSnapshot(ctx context.Context, s api.Snapshot) (int64, error) {
	if s.Place == "" || s.Revision == 0 || len(s.Keys) == 0 {
		return 0, &notKeptError{s.Name}
	}
	// A damaged file needs no host, and is found even where none can be started.
	if err := v.Files.CopyChecked(ctx, s, io.Discard); err != nil {
		return 0, err
	}
	on, isolator, err := v.findIsolator()
	if err != nil {
		return 0, err
	}
	r := &isolatedRestore{Verifier: v, snapshot: s, name: "snapshot-check-" + strings.ToLower(rand.Text()[:6]),
		progress: func(doing string) { activities.RecordHeartbeat(ctx, s.Name+": "+doing) }}
	token, err := v.Store.ReadSnapshotToken(ctx, s.Ref(), s.Name)
	if err != nil {
		return 0, err
	}
	r.token = strings.TrimSpace(string(token))
	if r.release, err = v.findRelease(ctx, s); err != nil {
		return 0, err
	}
	req, err := r.newRequest(ctx)
	if err != nil {
		return 0, err
	}
	// Sweeps remove what a killed process leaves of it on the clouds that are in use.
	if err := v.Store.RecordCloudUse(ctx, on, v.Now()); err != nil {
		return 0, err
	}
	var keys int64
	err = isolator.RunIsolated(ctx, req, r.progress, func(ctx context.Context, m cloud.Machine) (err error) {
		keys, err = r.restoreOn(ctx, m)
		return err
	})
	return keys, err
}

func (r *isolatedRestore) newRequest(ctx context.Context) (cloud.IsolatedRequest, error) {
	installation, err := r.Store.EnsureInstallationID(ctx)
	if err != nil {
		return cloud.IsolatedRequest{}, err
	}
	login, authorized, err := remote.NewKeyPair()
	if err != nil {
		return cloud.IsolatedRequest{}, err
	}
	hostKey, _, err := remote.NewKeyPair()
	if err != nil {
		return cloud.IsolatedRequest{}, err
	}
	r.loginKey = login
	return cloud.IsolatedRequest{
		Owner: cloud.Owner{Installation: installation, Cluster: r.snapshot.Cluster, ClusterUID: r.snapshot.ClusterUID},
		Name:  r.name, MemoryGiB: isolatedMemoryGiB + copiesInMemory*float64(r.snapshot.Bytes)/gib,
		MemoryDirs: rke2.IsolatedMemoryDirs, DiskDirs: rke2.IsolatedDiskDirs, AuthorizedKey: authorized,
		HostKey: hostKey,
	}, nil
}

// restoreOn restores the snapshot on the machine, and returns the number of keys that etcd has at its revision.
func (r *isolatedRestore) restoreOn(ctx context.Context, m cloud.Machine) (int64, error) {
	reachCtx, cancel := activities.WithDeadline(ctx, r.Deadlines.Reach)
	defer cancel()
	h, err := remote.AwaitDial(reachCtx, remote.Target{Name: r.name, Address: m.Address, Port: m.SSHPort,
		User: m.SSHUser, HostKey: m.HostKey}, r.loginKey, r.progress)
	if err != nil {
		return 0, activities.AsDeadlineError(reachCtx, err)
	}
	defer func() { _ = h.Close() }()
	if err := r.install(ctx, h); err != nil {
		return 0, err
	}
	if err := r.startServer(ctx, h, m.Address); err != nil {
		return 0, err
	}
	r.progress("counting its keys")
	counted, err := countKeys(ctx, h, r.snapshot.Revision)
	if err != nil {
		return 0, err
	}
	if r.inspect != nil {
		if err := r.inspect(ctx, h); err != nil {
			return 0, err
		}
	}
	if different := compareKeys(r.snapshot.Keys, counted); different != "" {
		return 0, &contentError{different}
	}
	return sumKeys(counted), nil
}

// install copies the release and the snapshot to the machine. The snapshot is in memory there, and nowhere else in the
// clear.
func (r *isolatedRestore) install(ctx context.Context, h *remote.Host) error {
	ctx, cancel := activities.WithDeadline(ctx, r.Deadlines.Install)
	defer cancel()
	if err := rke2.InstallOffline(ctx, h, r.release, r.progress); err != nil {
		return activities.AsDeadlineError(ctx, err)
	}
	r.progress("copying the snapshot")
	return activities.AsDeadlineError(ctx, r.copySnapshot(ctx, h))
}

func (r *isolatedRestore) copySnapshot(ctx context.Context, h *remote.Host) error {
	from, to := io.Pipe()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	opened := make(chan error, 1)
	go func() {
		err := r.Files.CopyChecked(ctx, r.snapshot, to)
		_ = to.CloseWithError(err)
		opened <- err
	}()
	sum, err := h.UploadStream(ctx, from, r.snapshot.Bytes, rke2.IsolatedSnapshotFile, 0o600, nil)
	_ = from.CloseWithError(errCopyEnded)
	cancel()
	// What is wrong with the file matters more than that its copy ended. A file that is too long ends the copy first.
	if source := <-opened; source != nil && !errors.Is(source, errCopyEnded) && !errors.Is(source, context.Canceled) {
		return source
	}
	if err == nil && sum != r.snapshot.SHA256 {
		err = &contentError{"its file has more than was taken"}
	}
	return err
}

var errCopyEnded = errors.New("the copy has ended")

// startServer restores the snapshot as it is, and waits for the API server.
func (r *isolatedRestore) startServer(ctx context.Context, h *remote.Host, address string) error {
	ctx, cancel := activities.WithDeadline(ctx, r.Deadlines.Server)
	defer cancel()
	r.progress("restoring it")
	server := rke2.IsolatedServer{NodeName: r.name, NodeIP: address, Token: r.token}
	if r.snapshot.Spec != nil {
		server.PodCIDR = r.snapshot.Spec.PodCIDR()
	}
	if err := rke2.RestoreIsolated(ctx, h, server); err != nil {
		return activities.AsDeadlineError(ctx, err)
	}
	r.progress("waiting for its API server")
	if err := rke2.AwaitServer(ctx, h, r.progress); err != nil {
		return fmt.Errorf("the restored API server: %w", activities.AsDeadlineError(ctx, err))
	}
	return nil
}

// notKeptError says that a snapshot is on its machine only, so its content was not read yet.
type notKeptError struct{ snapshot string }

func (e *notKeptError) Error() string {
	return fmt.Sprintf("snapshot %s is not kept off the machine yet; verify it once it is", e.snapshot)
}

// Reason is SnapshotNotKept.
func (e *notKeptError) Reason() string { return "SnapshotNotKept" }

// Final is true: the next tries would come too early too.
func (e *notKeptError) Final() bool { return true }
