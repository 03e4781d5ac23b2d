package activities

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/etcdserver"
)

var etcd string

func TestMain(m *testing.M) { etcdserver.Main(m, &etcd) }

// keepContent keeps a content as a snapshot in skyd's directory.
func keepContent(t *testing.T, content string) (*SnapshotFiles, api.Snapshot) {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	f := &SnapshotFiles{Store: store.New(client, "/"+t.Name(), make([]byte, 32)), Dir: t.TempDir(), QuotaBytes: 1 << 20}
	c := &api.Cluster{Metadata: api.Metadata{Name: "prod", UID: "u-1"}}
	place, v, err := f.VaultFor(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(content))
	s := api.Snapshot{Name: "auto-1", Cluster: "prod", ClusterUID: "u-1", Place: place, Bytes: int64(len(content)),
		Object: SnapshotObject(c.Ref(), "auto-1"), SHA256: hex.EncodeToString(sum[:]), State: api.SnapshotKept}
	if s.SealedBytes, err = v.Put(t.Context(), s.Object, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	return f, s
}

func TestKeptSnapshotIsCopiedAsItWasTaken(t *testing.T) {
	f, s := keepContent(t, "etcd's pages")
	var got bytes.Buffer
	if err := f.CopyChecked(t.Context(), s, &got); err != nil || got.String() != "etcd's pages" {
		t.Errorf("%q, %v", &got, err)
	}
	sealed, err := os.ReadFile(filepath.Join(f.Dir, "u-1", "auto-1"))
	if err != nil || bytes.Contains(sealed, []byte("pages")) || int64(len(sealed)) != s.SealedBytes {
		t.Errorf("the file is readable: %v", err)
	}
}

func TestSnapshotThatIsNotWhatWasTakenIsRefused(t *testing.T) {
	f, s := keepContent(t, "etcd's pages")
	file := filepath.Join(f.Dir, "u-1", "auto-1")
	for name, spoil := range map[string]func(*api.Snapshot){
		"other size":     func(s *api.Snapshot) { s.Bytes++ },
		"other checksum": func(s *api.Snapshot) { s.SHA256 = strings.Repeat("0", 64) },
		"a changed file": func(*api.Snapshot) {
			b, _ := os.ReadFile(file)
			b[len(b)-1] ^= 1
			_ = os.WriteFile(file, b, 0o600)
		},
	} {
		spoiled, damaged := s, new(SnapshotDamagedError)
		spoil(&spoiled)
		if err := f.CopyChecked(t.Context(), spoiled, &bytes.Buffer{}); !errors.As(err, &damaged) || !damaged.Final() ||
			!strings.Contains(err.Error(), `snapshot "auto-1" of cluster "prod"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSnapshotWithoutAFileIsMissing(t *testing.T) {
	f, s := keepContent(t, "etcd's pages")
	onMachine := s
	onMachine.Place = ""
	if err := os.Remove(filepath.Join(f.Dir, "u-1", "auto-1")); err != nil {
		t.Fatal(err)
	}
	for _, s := range []api.Snapshot{s, onMachine} {
		missing := new(SnapshotFileMissingError)
		if err := f.CopyChecked(t.Context(), s, &bytes.Buffer{}); !errors.As(err, &missing) ||
			missing.Reason() != "SnapshotMissing" {
			t.Errorf("got %v", err)
		}
	}
}

func TestSnapshotIsReadFromItsOwnPlace(t *testing.T) {
	f, s := keepContent(t, "etcd's pages")
	var asked, signed string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, signed = r.URL.Path, r.Header.Get("Authorization")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte("<Error><Code>NoSuchKey</Code></Error>"))
	}))
	t.Cleanup(server.Close)
	for name, secret := range map[string]string{"of-then": "key-of-then", "of-now": "key-of-now"} {
		if _, err := f.Store.WriteNamedSecret(t.Context(), name, map[string][]byte{"access_key": []byte(secret),
			"secret_key": []byte("secret-0123456789")}, false, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	s.Place = "s3://bucket/folder"
	policy := api.SnapshotPolicy{S3URL: s.Place, S3Endpoint: server.URL, S3Secret: "of-then"}
	s.Spec = &api.ClusterSpec{Snapshots: policy}
	requireAsked := func(key string) {
		t.Helper()
		missing := new(SnapshotFileMissingError)
		if err := f.CopyChecked(t.Context(), s, &bytes.Buffer{}); !errors.As(err, &missing) ||
			asked != "/bucket/folder/u-1/auto-1" || !strings.Contains(signed, "Credential="+key+"/") {
			t.Errorf("got %v; %s was asked as %s", err, asked, signed)
		}
	}
	requireAsked("key-of-then") // the cluster is gone
	c := api.NewCluster("prod", "u-1", api.GroupSpec{Cloud: "docker", NumNodes: 1}, nil, time.Now())
	c.Spec.Snapshots = policy
	c.Spec.Snapshots.S3Secret = "of-now"
	if _, err := f.Store.CreateCluster(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	requireAsked("key-of-now")
	if _, err := f.Store.UpdateCluster(t.Context(), c.Ref(), func(c *api.Cluster) error {
		c.Spec.Snapshots.S3URL = "s3://other"
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	requireAsked("key-of-then")
}
