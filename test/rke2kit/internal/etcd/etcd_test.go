package etcd_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/etcd"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/etcdtest"
)

func TestValuesAreReadWhileItRunsAndFromItsFile(t *testing.T) {
	ctx := context.Background()
	server := etcdtest.Start(t)
	for _, kv := range [][2]string{{"/bootstrap/a", "old"}, {"/bootstrap/a", "new"}, {"/bootstraq", "x"},
		{"/boot", "x"}} {
		if err := server.Client.Put(ctx, kv[0], []byte(kv[1])); err != nil {
			t.Fatal(err)
		}
	}
	live, err := server.Client.ListPrefix(ctx, "/bootstrap")
	if err != nil {
		t.Fatal(err)
	}
	members, err := server.Client.ListMembers(ctx)
	if err != nil || len(members) != 1 || members[0].Name != "default" {
		t.Errorf("members are %v, %v", members, err)
	}
	server.Stop()
	file, err := etcd.ReadPrefix(server.DataDir, "/bootstrap")
	if err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string][]etcd.KeyValue{"live": live, "file": file} {
		if len(keys) != 1 || string(keys[0].Key) != "/bootstrap/a" || string(keys[0].Value) != "new" {
			t.Errorf("%s: got %q", name, keys)
		}
	}
	for dir, want := range map[string]bool{server.DataDir: true, t.TempDir(): false} {
		if got, err := etcd.IsInitialized(dir); got != want || err != nil {
			t.Errorf("%s is initialized: %v, %v", dir, got, err)
		}
	}
}

func TestASavedSnapshotIsWhatEtcdsOwnToolReads(t *testing.T) {
	ctx := context.Background()
	server := etcdtest.Start(t)
	if err := server.Client.Put(ctx, "/a", []byte(strings.Repeat("x", 200<<10))); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "snapshot")
	if err := server.Client.SaveSnapshot(ctx, file); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode() != 0o600 || !etcd.HasChecksum(info.Size()) {
		t.Errorf("the file is %v, %v", info, err)
	}
	status, err := snapshot.NewV3(zap.NewNop()).Status(file)
	if err != nil || status.Revision != 2 || status.TotalKey != 1 {
		t.Errorf("it has %+v, %v", status, err)
	}
	restored := filepath.Join(t.TempDir(), "restored")
	err = snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{SnapshotPath: file, Name: "a",
		OutputDataDir: restored, PeerURLs: []string{"http://127.0.0.1:1"}, InitialCluster: "a=http://127.0.0.1:1"})
	if err != nil {
		t.Errorf("restore, which checks the sha256: %v", err)
	}
	if left, _ := filepath.Glob(file + ".part"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
