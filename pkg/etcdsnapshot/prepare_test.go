package etcdsnapshot

import (
	"bytes"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"

	"github.com/sky-shift/skyctl/test/eventually"
)

func TestPrepareRaisesTheRevisionAndKeepsTheKeys(t *testing.T) {
	const raiseBy = 1_000_000_000
	c, _ := startEtcd(t, t.TempDir())
	counts := putTestKeys(t, c)
	keys, revision := readKeys(t, c)
	path := saveSnapshot(t, c)
	_, err := c.Put(t.Context(), "/registry/pods/default/after-the-snapshot", "lost")
	must(t, err)

	must(t, Prepare(path, raiseBy))
	got, err := Read(path) // also checks the hash
	must(t, err)
	if got.Revision != revision+raiseBy || !maps.Equal(got.Keys, counts) {
		t.Errorf("prepared: %+v, want revision %d and %v", got, revision+raiseBy, counts)
	}
	requireSound(t, path)
	var last int64 // etcd before 3.5.14 continues at the last change, and not at the compaction
	must(t, ReadChanges(path, func(c Change) error { last = c.Revision; return nil }))
	if last != got.Revision {
		t.Errorf("the last change has revision %d, want %d", last, got.Revision)
	}

	restored, dir, stop := restoreSnapshot(t, path)
	requireRaised(t, restored, keys, revision, revision+raiseBy)
	put, err := restored.Put(t.Context(), "/registry/pods/default/new", "new")
	must(t, err)
	if put.Header.Revision != revision+raiseBy+1 {
		t.Errorf("the next change has revision %d", put.Header.Revision)
	}
	stop()
	again, _ := startEtcd(t, dir)
	keys["/registry/pods/default/new"] = "new"
	requireRaised(t, again, keys, revision, revision+raiseBy+1)

	// A snapshot of it can be prepared too.
	path = saveSnapshot(t, again)
	must(t, Prepare(path, raiseBy))
	second, _, _ := restoreSnapshot(t, path)
	requireRaised(t, second, keys, revision+raiseBy, revision+2*raiseBy+1)
}

// requireSound fails if bbolt finds a fault in a snapshot's pages.
func requireSound(t *testing.T, path string) {
	t.Helper()
	status, err := snapshot.NewV3(zap.NewNop()).Status(path)
	must(t, err)
	if status.Revision == 0 {
		t.Errorf("etcd reads %+v", status)
	}
}

// requireRaised fails unless an etcd has these keys and revision, and refuses watches from an older one.
func requireRaised(t *testing.T, c *clientv3.Client, keys map[string]string, older, revision int64) {
	t.Helper()
	got, now := readKeys(t, c)
	if now != revision || !maps.Equal(got, keys) {
		t.Errorf("etcd has %d keys at revision %d, want %d at %d", len(got), now, len(keys), revision)
	}
	ctx := eventually.Context(t, 2*time.Minute)
	for _, from := range []int64{2, older, older + 1, older + 1000} {
		first := <-c.Watch(ctx, "/registry/", clientv3.WithPrefix(), clientv3.WithRev(from))
		if !errors.Is(first.Err(), rpctypes.ErrCompacted) {
			t.Errorf("a watch from revision %d: %v", from, first.Err())
		}
	}
	_, err := c.Get(ctx, "/registry/pods/default/pod-50", clientv3.WithRev(older))
	if !errors.Is(err, rpctypes.ErrCompacted) {
		t.Errorf("a read at revision %d: %v", older, err)
	}
}

// TestUnpreparedSnapshotKeepsItsRevision holds what verification relies on.
func TestUnpreparedSnapshotKeepsItsRevision(t *testing.T) {
	c, _ := startEtcd(t, t.TempDir())
	putTestKeys(t, c)
	keys, revision := readKeys(t, c)
	restored, _, _ := restoreSnapshot(t, saveSnapshot(t, c))
	got, now := readKeys(t, restored)
	if now != revision || !maps.Equal(got, keys) {
		t.Errorf("etcd has %d keys at revision %d, want %d at %d", len(got), now, len(keys), revision)
	}
}

func TestRevisionCannotBeLowered(t *testing.T) {
	c, _ := startEtcd(t, t.TempDir())
	path := saveSnapshot(t, c)
	before, err := os.ReadFile(path)
	must(t, err)
	for _, by := range []int64{0, -1, math.MinInt64, math.MaxInt64} {
		if err := Prepare(path, by); err == nil {
			t.Errorf("raised by %d", by)
		}
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was changed: %v", err)
	}
	if err := Prepare(filepath.Join(t.TempDir(), "missing"), 1); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}
