package etcdfile

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"
)

func keysOf(t *testing.T, file []byte) (string, int64) {
	t.Helper()
	keys, revision, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		all = append(all, key+"="+string(keys[key]))
	}
	return strings.Join(all, " "), revision
}

func TestASnapshotContinuesTheHistoryOfTheOneBefore(t *testing.T) {
	first, err := Write(nil, map[string][]byte{"/a": []byte("1"), "/b": []byte("1")})
	if err != nil {
		t.Fatal(err)
	}
	second, err := Write(first, map[string][]byte{"/a": []byte("2"), "/c": []byte("1")})
	if err != nil {
		t.Fatal(err)
	}
	keys, revision := keysOf(t, first)
	if keys != "/a=1 /b=1" || revision != 3 {
		t.Errorf("the first has %s at %d", keys, revision)
	}
	if keys, revision = keysOf(t, second); keys != "/a=2 /c=1" || revision != 6 {
		t.Errorf("the second has %s at %d", keys, revision)
	}
}

func TestEtcdsOwnToolRestoresTheFile(t *testing.T) {
	file, err := Write(nil, map[string][]byte{"/a": []byte("1")})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "snapshot")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	tool := snapshot.NewV3(zap.NewNop())
	status, err := tool.Status(path)
	if err != nil || status.Revision != 2 || status.TotalKey != 1 {
		t.Errorf("its status is %+v, %v", status, err)
	}
	err = tool.Restore(snapshot.RestoreConfig{SnapshotPath: path, Name: "m",
		OutputDataDir: filepath.Join(t.TempDir(), "etcd"), PeerURLs: []string{"http://127.0.0.1:2380"},
		InitialCluster: "m=http://127.0.0.1:2380", InitialClusterToken: "t"})
	if err != nil {
		t.Error(err)
	}
}

func TestADamagedFileIsRefused(t *testing.T) {
	file, err := Write(nil, map[string][]byte{"/a": []byte("1")})
	if err != nil {
		t.Fatal(err)
	}
	file[len(file)/2] ^= 1
	if _, _, err := Read(file); err == nil || !strings.Contains(err.Error(), "expected sha256") {
		t.Errorf("got %v", err)
	}
	if _, _, err := Read(file[:len(file)-1]); err == nil || !strings.Contains(err.Error(), "missing hash") {
		t.Errorf("truncated: got %v", err)
	}
}
