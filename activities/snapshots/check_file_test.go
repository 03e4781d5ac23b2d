package snapshots

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/etcdserver"
)

var etcd string

func TestMain(m *testing.M) { etcdserver.Main(m, &etcd) }

// newKept returns activities with one snapshot that is kept in skyd's directory, and its file.
func newKept(t *testing.T) (*Activities, operation.CheckSnapshotInput, string) {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	st, dir := store.New(client, "/"+t.Name(), make([]byte, 32)), t.TempDir()
	a := &Activities{Store: st, Now: time.Now,
		Files: &activities.SnapshotFiles{Store: st, Dir: dir, QuotaBytes: 1 << 20}}
	c := &api.Cluster{Metadata: api.Metadata{Name: "prod", UID: "u-1"}}
	place, v, err := a.Files.VaultFor(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	const content = "etcd's pages"
	sum := sha256.Sum256([]byte(content))
	s := api.Snapshot{Name: "one", Cluster: "prod", ClusterUID: "u-1", Place: place, Bytes: int64(len(content)),
		Object: activities.SnapshotObject(c.Ref(), "one"), SHA256: hex.EncodeToString(sum[:]), State: api.SnapshotKept}
	if _, err := v.Put(t.Context(), s.Object, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if err := st.CreateSnapshot(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return a, operation.CheckSnapshotInput{Cluster: c.Ref(), Name: "one"}, filepath.Join(dir, "u-1", "one")
}

func TestFileOfASnapshotIsChecked(t *testing.T) {
	a, in, file := newKept(t)
	check := func(what, want string) {
		t.Helper()
		r, err := a.CheckSnapshotFile(t.Context(), in)
		if err != nil || (r.Problem == "") != (want == "") || !strings.Contains(r.Problem, want) {
			t.Errorf("%s: %+v, %v", what, r, err)
		}
	}
	check("without its token", "token")
	if err := a.Store.PutSnapshotToken(t.Context(), in.Cluster, in.Name, []byte("K10::server:a-token")); err != nil {
		t.Fatal(err)
	}
	check("a good one", "")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	spoiled := append([]byte(nil), whole...)
	spoiled[len(spoiled)-1] ^= 1
	if err := os.WriteFile(file, spoiled, 0o600); err != nil {
		t.Fatal(err)
	}
	check("a changed file", "damaged")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	check("no file", "missing")
	in.Name = "never"
	check("no record", `no snapshot "never"`)
}
