package bootstrap

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/etcd"
)

// writeFiles lays out two files in directories of their own and returns their paths.
func writeFiles(t *testing.T) Paths {
	t.Helper()
	dir := t.TempDir()
	paths := Paths{"ServerCA": filepath.Join(dir, "tls", "server-ca.crt"),
		"PasswdFile": filepath.Join(dir, "cred", "passwd")}
	for name, path := range paths {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("first "+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

func readData(t *testing.T, paths Paths) Data {
	t.Helper()
	data, err := paths.Read()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestDataOpensUnderItsOwnPasswordOnly(t *testing.T) {
	data := readData(t, writeFiles(t))
	sealed, err := Seal(data, "right")
	if err != nil {
		t.Fatal(err)
	}
	keys := []etcd.KeyValue{{Key: []byte(Key("right")), Value: sealed}}
	got, err := Find(keys, "right")
	if err != nil || string(got["ServerCA"].Content) != "first ServerCA" ||
		!got["ServerCA"].Timestamp.Equal(data["ServerCA"].Timestamp) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := Find(keys, "wrong"); !errors.Is(err, ErrOtherToken) {
		t.Errorf("under another password: %v", err)
	}
	if _, err := Open(sealed, "wrong"); err == nil {
		t.Error("another password opens it")
	}
	if got, err := Find(nil, "any"); got != nil || err != nil {
		t.Errorf("no data: %v, %v", got, err)
	}
	if strings.Contains(string(sealed), "first") {
		t.Error("the content is readable")
	}
}

func TestNewerFilesOnDiskAreRefusedByName(t *testing.T) {
	paths := writeFiles(t)
	data := readData(t, paths)
	changed := paths["ServerCA"]
	if err := os.WriteFile(changed, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	late := time.Now().Add(10 * time.Second)
	if err := os.Chtimes(changed, late, late); err != nil {
		t.Fatal(err)
	}
	err := paths.Reconcile(data)
	want := changed + " newer than datastore and could cause a cluster outage. "
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v", err)
	}
	if content, _ := os.ReadFile(changed); string(content) != "another" {
		t.Errorf("the file is now %q", content)
	}
}

func TestOlderAndMissingFilesComeFromTheDatastore(t *testing.T) {
	paths := writeFiles(t)
	data := readData(t, paths)
	if err := os.WriteFile(paths["ServerCA"], []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	early := time.Now().Add(-time.Hour)
	if err := os.Chtimes(paths["ServerCA"], early, early); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Dir(paths["PasswdFile"])); err != nil {
		t.Fatal(err)
	}
	if err := paths.Reconcile(data); err != nil {
		t.Fatal(err)
	}
	for name, file := range readData(t, paths) {
		if string(file.Content) != "first "+name || !file.Timestamp.Equal(data[name].Timestamp) {
			t.Errorf("%s is %q of %s", name, file.Content, file.Timestamp)
		}
	}
}
