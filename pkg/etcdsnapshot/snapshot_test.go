package etcdsnapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/sky-shift/skyctl/test/etcdserver"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// startEtcd runs an etcd on the data in a directory until the test ends, or until it is stopped.
func startEtcd(t *testing.T, dir string) (c *clientv3.Client, stop func()) {
	t.Helper()
	e, err := etcdserver.Start(dir, etcdserver.AnyPort)
	must(t, err)
	c, err = clientv3.New(clientv3.Config{Endpoints: []string{etcdserver.Endpoint(e)}, Logger: zap.NewNop()})
	must(t, err)
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			_ = c.Close()
			e.Close()
		}
	}
	t.Cleanup(stop)
	return c, stop
}

// saveSnapshot takes a snapshot as RKE2 does.
func saveSnapshot(t *testing.T, c *clientv3.Client) string {
	t.Helper()
	r, err := c.Snapshot(t.Context())
	must(t, err)
	path := filepath.Join(t.TempDir(), "snapshot")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	must(t, err)
	_, err = io.Copy(f, r)
	must(t, errors.Join(err, r.Close(), f.Close()))
	return path
}

// restoreSnapshot restores a snapshot as RKE2 does, without flags, and runs an etcd on it.
func restoreSnapshot(t *testing.T, path string) (c *clientv3.Client, dir string, stop func()) {
	t.Helper()
	dir = t.TempDir()
	name := embed.NewConfig().Name
	const peer = "http://127.0.0.1:0"
	must(t, snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{SnapshotPath: path, Name: name,
		OutputDataDir: filepath.Join(dir, "etcd"), PeerURLs: []string{peer}, InitialCluster: name + "=" + peer,
		InitialClusterToken: "etcd-cluster"}))
	c, stop = startEtcd(t, dir)
	return c, dir, stop
}

// putTestKeys writes keys as Kubernetes does, and changes and deletes some. It returns the counts that are left.
func putTestKeys(t *testing.T, c *clientv3.Client) map[string]int64 {
	t.Helper()
	put := func(format string, n int) {
		for i := range n {
			_, err := c.Put(t.Context(), fmt.Sprintf(format, i), strings.Repeat("value ", i))
			must(t, err)
		}
	}
	for range 2 { // a change of a key counts once
		put("/registry/pods/default/pod-%d", 300)
	}
	put("/registry/services/specs/default/s-%d", 3)
	put("/registry/apiregistration.k8s.io/apiservices/v1.%d", 5)
	put("/registry/cert-manager.io/issuers/default/i-%d", 2)
	put("/registry/cert-manager.io/certificates/default/c-%d", 4)
	put("/bootstrap/%d", 1)
	put("compact_rev_key%d", 1)
	del := func(key string) {
		_, err := c.Delete(t.Context(), key)
		must(t, err)
	}
	for i := range 10 {
		del(fmt.Sprintf("/registry/pods/default/pod-%d", i))
	}
	put("/registry/pods/default/pod-%d", 2) // exist again
	del("/registry/services/specs/default/s-0")
	del("/registry/cert-manager.io/issuers/default/i-0")
	del("/registry/cert-manager.io/issuers/default/i-1")
	return map[string]int64{"/registry/pods": 292, "/registry/services/specs": 2,
		"/registry/apiregistration.k8s.io/apiservices": 5, "/registry/cert-manager.io/certificates": 4, OtherKeys: 2}
}

// readKeys returns all keys with their values, and the revision of etcd.
func readKeys(t *testing.T, c *clientv3.Client) (map[string]string, int64) {
	t.Helper()
	response, err := c.Get(t.Context(), "\x00", clientv3.WithFromKey())
	must(t, err)
	all := map[string]string{}
	for _, kv := range response.Kvs {
		all[string(kv.Key)] = string(kv.Value)
	}
	if response.Count != int64(len(all)) {
		t.Errorf("etcd has %d keys, and says %d", len(all), response.Count)
	}
	return all, response.Header.Revision
}

func TestReadCountsTheKeysThatExist(t *testing.T) {
	c, _ := startEtcd(t, t.TempDir())
	want := putTestKeys(t, c)
	_, revision := readKeys(t, c)
	got, err := Read(saveSnapshot(t, c))
	must(t, err)
	if got.Revision != revision || !maps.Equal(got.Keys, want) {
		t.Errorf("read %+v, want revision %d and %v", got, revision, want)
	}
	if all, _ := readKeys(t, c); len(all) != 305 {
		t.Errorf("etcd has %d keys", len(all))
	}
}

func TestReadOfAnEmptyAndACompactedEtcd(t *testing.T) {
	c, _ := startEtcd(t, t.TempDir())
	empty, err := Read(saveSnapshot(t, c))
	must(t, err)
	if empty.Revision != 1 || len(empty.Keys) != 0 {
		t.Errorf("an empty etcd: %+v", empty)
	}
	for _, key := range []string{"/registry/pods/a", "/registry/pods/b", "/registry/pods/a"} {
		_, err = c.Put(t.Context(), key, "x")
		must(t, err)
	}
	deleted, err := c.Delete(t.Context(), "/registry/pods/b")
	must(t, err)
	last := deleted.Header.Revision
	_, err = c.Compact(t.Context(), last, clientv3.WithCompactPhysical())
	must(t, err)
	path := saveSnapshot(t, c)
	want := map[string]int64{"/registry/pods": 1}
	got, err := Read(path)
	must(t, err)
	if got.Revision != last || !maps.Equal(got.Keys, want) {
		t.Errorf("read %+v, want revision %d and %v", got, last, want)
	}

	// Before 3.5.15 etcd compacts the last change too if that is a deletion.
	last += 5
	must(t, cutHash(path))
	db, err := bolt.Open(path, 0o600, nil)
	must(t, err)
	must(t, db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket(metaBucket).Put(finishedCompactKey, binary.BigEndian.AppendUint64([]byte{0, 0, 0, 0, 0, 0, 0,
			byte(last), '_'}, 0))
	}))
	must(t, errors.Join(db.Close(), appendHash(path)))
	got, err = Read(path)
	must(t, err)
	restored, _, _ := restoreSnapshot(t, path)
	if _, revision := readKeys(t, restored); got.Revision != last || revision != last || !maps.Equal(got.Keys, want) {
		t.Errorf("read %+v; etcd has %d, want revision %d", got, revision, last)
	}
}

func TestPrefixesAreThoseOfKubernetes(t *testing.T) {
	for key, want := range map[string]string{
		"/registry/pods/kube-system/etcd-0":                    "/registry/pods",
		"/registry/minions/node-0":                             "/registry/minions",
		"/registry/services/specs/default/kubernetes":          "/registry/services/specs",
		"/registry/services/endpoints/default/kubernetes":      "/registry/services/endpoints",
		"/registry/ranges/serviceips":                          "/registry/ranges",
		"/registry/apiregistration.k8s.io/apiservices/v1.apps": "/registry/apiregistration.k8s.io/apiservices",
		"/registry/helm.cattle.io/helmcharts/kube-system/a/b":  "/registry/helm.cattle.io/helmcharts",
		"/registry/a.b":   "/registry/a.b",
		"/registry/x":     "/registry/x",
		"/registry/":      OtherKeys,
		"/registrypods/x": OtherKeys,
		"/bootstrap/0123": OtherKeys,
		"compact_rev_key": OtherKeys,
		"":                OtherKeys,
	} {
		if got := PrefixOf(key); got != want {
			t.Errorf("%q has the prefix %q, want %q", key, got, want)
		}
	}
}

func TestDamageIsFound(t *testing.T) {
	c, _ := startEtcd(t, t.TempDir())
	putTestKeys(t, c)
	path := saveSnapshot(t, c)
	whole, err := os.ReadFile(path)
	must(t, err)
	must(t, CheckHash(bytes.NewReader(whole), int64(len(whole))))
	files := map[string][]byte{"empty": {}, "longer by a byte": append(bytes.Clone(whole), 0),
		"without the hash": whole[:len(whole)-sha256.Size], "cut off in the hash": whole[:len(whole)-1],
		"cut off at a page": whole[:len(whole)-pageSize*3], "half": whole[:len(whole)/2]}
	for _, at := range []int{0, 100, len(whole) / 2, len(whole) - sha256.Size - 1, len(whole) - 1} {
		changed := bytes.Clone(whole)
		changed[at] ^= 0x10
		files[fmt.Sprintf("changed at %d", at)] = changed
	}
	for name, data := range files {
		must(t, os.WriteFile(path, data, 0o600))
		_, readErr := Read(path)
		for action, err := range map[string]error{"CheckHash": CheckHash(bytes.NewReader(data), int64(len(data))),
			"Read": readErr, "Prepare": Prepare(path, 1000)} {
			if found := new(DamagedError); !errors.As(err, &found) || found.Reason() == "" || !found.Final() {
				t.Errorf("%s of a file that is %s: %v", action, name, err)
			}
		}
		if left, err := os.ReadFile(path); err != nil || !bytes.Equal(left, data) {
			t.Errorf("the file that is %s was changed: %v", name, err)
		}
	}
	if err := CheckHash(bytes.NewReader(whole[:1000]), int64(len(whole))); !errors.As(err, new(*DamagedError)) ||
		!strings.Contains(err.Error(), "incomplete: it has 1000 of") {
		t.Errorf("a stream that ends early: %v", err)
	}
	broken := errors.New("the machine went away")
	if err := CheckHash(io.MultiReader(bytes.NewReader(whole[:1000]), brokenReader{broken}), int64(len(whole))); errors.
		As(err, new(*DamagedError)) || !errors.Is(err, broken) {
		t.Errorf("a stream that fails: %v", err)
	}
}

type brokenReader struct{ err error }

func (r brokenReader) Read([]byte) (int, error) { return 0, r.err }

// TestInvalidPagesAreFound reads files that have a right hash and are not from etcd.
func TestInvalidPagesAreFound(t *testing.T) {
	c, _ := startEtcd(t, t.TempDir())
	putTestKeys(t, c)
	whole, err := os.ReadFile(saveSnapshot(t, c))
	must(t, err)
	const page = 4096
	db := whole[:len(whole)-sha256.Size]
	write := func(data []byte) string {
		path := filepath.Join(t.TempDir(), "snapshot")
		sum := sha256.Sum256(data)
		must(t, os.WriteFile(path, append(bytes.Clone(data), sum[:]...), 0o600))
		return path
	}
	zeroed := bytes.Clone(db)
	clear(zeroed[2*page:])
	other := filepath.Join(t.TempDir(), "bolt")
	b, err := bolt.Open(other, 0o600, nil)
	must(t, err)
	must(t, b.Close())
	foreign, err := os.ReadFile(other)
	must(t, err)
	for name, path := range map[string]string{"zeroed pages": write(zeroed), "cut pages": write(db[:3*page]),
		"not a database": write(make([]byte, 8*page)), "no data": write(nil), "of another program": write(foreign)} {
		_, err := Read(path)
		if !errors.As(err, new(*DamagedError)) {
			t.Errorf("%s: %v", name, err)
		}
		if err := Prepare(path, 1); !errors.As(err, new(*DamagedError)) {
			t.Errorf("preparing %s: %v", name, err)
		}
	}
}
