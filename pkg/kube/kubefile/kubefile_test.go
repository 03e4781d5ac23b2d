package kubefile_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sky-shift/skyctl/pkg/kube/kubefile"
)

func TestAKubeconfigIsItsOwnersOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clusters", "a", "kubeconfig")
	for _, data := range []string{"first, and longer", "second"} {
		if err := kubefile.Write(path, []byte(data)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != data {
			t.Errorf("got %q, %v", got, err)
		}
	}
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: got %v, %v", name, info.Mode(), err)
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

func TestAnOpenDirectoryIsClosed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := kubefile.Write(filepath.Join(dir, "kubeconfig"), nil); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
}

func TestRemovingTakesWhatWasWrittenAndNothingElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "kubeconfig")
	if err := kubefile.Remove(path); err != nil {
		t.Errorf("nothing there: %v", err)
	}
	if err := kubefile.Write(path, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), ".kubeconfig-123"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := kubefile.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(path)); !os.IsNotExist(err) {
		t.Errorf("the directory is still there: %v", err)
	}
	if err := kubefile.Write(path, nil); err != nil {
		t.Fatal(err)
	}
	notes := filepath.Join(filepath.Dir(path), "notes")
	if err := os.WriteFile(notes, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := kubefile.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(notes); err != nil {
		t.Errorf("another's file is gone: %v", err)
	}
}
