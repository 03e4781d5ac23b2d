package hostimage

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestImageFileIsCompleteOrAbsent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "host.tar.gz")
	begin := func() *checksummedFile {
		t.Helper()
		f, err := createChecksummedFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("what a host is made of")); err != nil {
			t.Fatal(err)
		}
		return f
	}
	begin().abandon()
	if err := verifyChecksum(path); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("an abandoned file exists: %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 0 {
		t.Fatalf("it left %v, %v", left, err)
	}
	if err := begin().commit(); err != nil {
		t.Fatal(err)
	}
	if err := verifyChecksum(path); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("broken"), 12); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := verifyChecksum(path); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Fatalf("a broken file was accepted: %v", err)
	}
}

func TestRecipeHashDependsOnFilesAndBaseImage(t *testing.T) {
	one, err := loadRecipe("debian:12")
	if err != nil {
		t.Fatal(err)
	}
	same, err := loadRecipe("debian:12")
	if err != nil || same.hash != one.hash {
		t.Errorf("the same recipe hashes to %s and %s: %v", one.hash, same.hash, err)
	}
	other, err := loadRecipe("debian:12-slim")
	if err != nil || other.hash == one.hash {
		t.Errorf("another base hashes to the same %s: %v", one.hash, err)
	}
	for _, name := range []string{"packages.txt", "setup.sh", "host-init", "sshd.conf"} {
		if len(one.files[name]) == 0 {
			t.Errorf("the recipe lacks %s", name)
		}
	}
}
