// Package smalldisk mounts small disks that tests can fill.
package smalldisk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sky-shift/skyctl/test/needs"
)

// Mount returns a directory on an in-memory disk of this many MiB, until the test ends. It needs root.
func Mount(t testing.TB, mib int) string {
	t.Helper()
	needs.Root(t)
	dir := t.TempDir()
	if err := MountAt(dir, mib); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// MountAt mounts such a disk on a directory. The caller unmounts it.
func MountAt(dir string, mib int) error {
	return os.NewSyscallError("mounting a disk for a test, which takes root",
		unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, mountOptions(mib)))
}

func mountOptions(mib int) string { return fmt.Sprintf("mode=0700,size=%dm", mib) }

// Filling is a file that fills a disk.
type Filling struct{ name string }

// Fill fills the disk of a directory, except for some MiB.
func Fill(dir string, but int) (*Filling, error) {
	f := &Filling{name: filepath.Join(dir, "filling")}
	file, err := os.OpenFile(f.name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	for chunk := 1 << 20; chunk >= 1<<12; chunk /= 16 {
		for err == nil {
			_, err = file.Write(make([]byte, chunk))
		}
		if !errors.Is(err, unix.ENOSPC) {
			return nil, err
		}
		err = nil
	}
	if but > 0 {
		info, err := file.Stat()
		if err == nil {
			err = file.Truncate(max(0, info.Size()-int64(but)<<20))
		}
		return f, err
	}
	return f, nil
}

// Free removes the file.
func (f *Filling) Free() error { return os.Remove(f.name) }
