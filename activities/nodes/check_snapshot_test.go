package nodes

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/etcdserver"
)

// keepSnapshot keeps a content as the snapshot of a cluster.
func keepSnapshot(t *testing.T, content string) (*Activities, SnapshotInput) {
	t.Helper()
	client, _ := etcdserver.NewCountedClient(t, etcd)
	st := store.New(client, "/"+t.Name(), make([]byte, 32))
	a := &Activities{Store: st, Now: time.Now, Deadlines: activities.DefaultDeadlines(),
		Snapshots: &activities.SnapshotFiles{Store: st, Dir: t.TempDir(), QuotaBytes: 1 << 20}}
	c, err := st.CreateCluster(t.Context(), api.NewCluster("a", "u1",
		api.GroupSpec{Cloud: "docker", NumNodes: 1, Provision: true}, nil, time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	place, v, err := a.Snapshots.VaultFor(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(content))
	s := api.Snapshot{Name: "auto-1", Cluster: "a", ClusterUID: "u1", Place: place, Bytes: int64(len(content)),
		Object: activities.SnapshotObject(c.Ref(), "auto-1"), SHA256: hex.EncodeToString(sum[:]),
		State: api.SnapshotKept}
	if _, err = v.Put(t.Context(), s.Object, strings.NewReader(content)); err == nil {
		err = st.CreateSnapshot(t.Context(), s)
	}
	if err = errors.Join(err, st.PutSnapshotToken(t.Context(), c.Ref(), s.Name, []byte("token"))); err != nil {
		t.Fatal(err)
	}
	return a, SnapshotInput{Cluster: c.Ref(), Restore: api.RestoreRequest{Snapshot: s.Name, SnapshotUID: "u1"}}
}

func TestDamagedSnapshotIsNotUsedAgain(t *testing.T) {
	a, in := keepSnapshot(t, "no database")
	_, err := a.CheckSnapshot(t.Context(), in)
	if got := new(temporal.ApplicationError); !errors.As(err, &got) || got.Type() != "SnapshotDamaged" {
		t.Fatalf("got %v", err)
	}
	s, err := a.Store.ReadSnapshot(t.Context(), in.Cluster, in.Restore.Snapshot)
	if err != nil || s.IsUsable() || s.State != api.SnapshotKept {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestCopyOfASnapshotLeavesNothing(t *testing.T) {
	a, in := keepSnapshot(t, "no database")
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "missing")) // whose /tmp is small, or read by others
	s, err := a.Store.ReadSnapshot(t.Context(), in.Cluster, in.Restore.Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	file, err := a.copySnapshot(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file.Path)
	if err != nil || string(got) != "no database" {
		t.Errorf("%q, %v", got, err)
	}
	file.Close()
	var left []string
	err = filepath.WalkDir(a.Snapshots.Dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && !strings.HasPrefix(entry.Name(), ".lock") {
			left = append(left, path)
		}
		return err
	})
	if err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}
