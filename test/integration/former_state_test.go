package integration

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/filelock"
	"github.com/sky-shift/skyctl/pkg/home"
	"github.com/sky-shift/skyctl/test/devserver"
)

// formerState is a state directory of version d9e060a, whose skyd was killed with operations under way, and the
// machines of its clusters. testdata/state-d9e060a/generate.sh has made it.
const formerState = "testdata/state-d9e060a/state.tar.gz"

// formerRelease is where that skyd took the RKE2 release from.
const formerRelease = "/tmp/skyctl-d9e060a/out/release"

// openFormerState starts servers on a copy of the state, and its machines, without a worker. change can change the copy
// before.
func openFormerState(t *testing.T, change ...func(dir string) error) *state {
	t.Helper()
	t.Parallel()
	// The machines keep their addresses and ports, which only one process can have.
	ctx, cancel := context.WithTimeout(t.Context(), 25*time.Minute)
	defer cancel()
	release, err := filelock.Acquire(ctx, filepath.Join(os.TempDir(), "skyctl-state-d9e060a.lock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	dir := t.TempDir()
	unpack(t, formerState, dir)
	for _, do := range change {
		if err := do(filepath.Join(dir, "state")); err != nil {
			t.Fatal(err)
		}
	}
	servers, err := devserver.StartServers(t.Context(), filepath.Join(dir, "state"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(servers.Close)
	moveRelease(t, devserver.DialEtcd(t, servers.Config), filepath.Join(dir, "release"))
	w := newConfiguredWorld(t, servers, servers.Config)
	w.home = servers.Config.ClustersDir()
	if err := w.cloud.RestoreMachines(dir); err != nil {
		t.Fatal(err)
	}
	return &state{world: w, servers: servers, place: home.FindLocation(servers.Config.Dir), ledger: t.TempDir()}
}

// loseTemporalData gives Temporal's database a schema that the current version cannot read.
func loseTemporalData(dir string) error {
	return os.WriteFile(filepath.Join(dir, "server", "version.json"),
		[]byte(`{"version":"0.0","visibility":"0.0","sha256":"00000000"}`), 0o600)
}

func unpack(t *testing.T, archive, dir string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err == nil {
			err = unpackEntry(r, h, filepath.Join(dir, filepath.FromSlash(h.Name)))
		}
		if err != nil {
			t.Fatalf("unpack %s: %v", archive, err)
		}
	}
}

func unpackEntry(from io.Reader, h *tar.Header, to string) error {
	if h.Typeflag == tar.TypeDir {
		return os.MkdirAll(to, 0o700)
	}
	f, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from) //nolint:gosec // our own archive
	return errors.Join(err, f.Close())
}

// moveRelease changes the path of the RKE2 release in all objects. A real one stays in its place during an upgrade.
func moveRelease(t *testing.T, c *clientv3.Client, to string) {
	t.Helper()
	all, err := c.Get(t.Context(), "/skyctl/clusters/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	moved := 0
	for _, kv := range all.Kvs {
		if text := bytes.ReplaceAll(kv.Value, []byte(formerRelease), []byte(to)); !bytes.Equal(text, kv.Value) {
			moved++
			if _, err := c.Put(t.Context(), string(kv.Key), string(text)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if moved == 0 {
		t.Fatalf("no object of %d names %s", len(all.Kvs), formerRelease)
	}
}

func clusterRef(clusters map[string]api.Cluster, name string) api.Ref {
	c := clusters[name]
	return c.Ref()
}

// listed returns the clusters with their machines, by name.
func (w *world) listed() map[string]api.Cluster {
	w.t.Helper()
	all, err := w.store.ListClustersWithMachines(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	found := map[string]api.Cluster{}
	for _, c := range all {
		found[c.Metadata.Name] = c
	}
	return found
}
