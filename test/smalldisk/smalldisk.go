// Package smalldisk is a disk of a test's own, small enough to be filled.
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

// Mount gives a directory on a disk of that many MiB, in memory, which goes with the test. It takes root.
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

// MountAt mounts such a disk on a directory; whoever calls it unmounts it.
func MountAt(dir string, mib int) error {
	return os.NewSyscallError("mounting a disk for a test, which takes root",
		unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, mountOptions(mib)))
}

func mountOptions(mib int) string { return fmt.Sprintf("mode=0700,size=%dm", mib) }

// Filling is what takes all the room of a disk.
type Filling struct{ name string }

// Fill takes the room of the disk of a directory, but for some MiB.
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

// Free gives the room back.
func (f *Filling) Free() error { return os.Remove(f.name) }
