// Package diskspace reads how much space is free on the disk of a directory, and judges whether that is enough to work.
package diskspace

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const (
	mib = 1 << 20
	// lowBytes is what a create should find: etcd allocates 64 MiB at a time, and Temporal's database grows with each
	// operation.
	lowBytes = 256 * mib
	// fullBytes is too little to work: etcd exits when it can't write its log. Work starts again at enoughBytes.
	fullBytes, enoughBytes = 16 * mib, 80 * mib
	// lowFiles and fullFiles are the same limits for inodes, on file systems that have a fixed number of them.
	lowFiles, fullFiles = 1000, 50
)

// Space is the free space of a file system.
type Space struct {
	Dir         string
	Free, Total uint64 // bytes; Free excludes what is reserved for root, as in df
	// FreeFiles and Files count inodes; Files is 0 if the file system has no fixed number.
	FreeFiles, Files uint64
}

// ReadSpace reads the free space of the file system that a directory is on.
func ReadSpace(dir string) (Space, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return Space{}, fmt.Errorf("reading the free space of the disk of %s: %w", dir, err)
	}
	return spaceOf(dir, fs), nil
}

func spaceOf(dir string, fs unix.Statfs_t) Space {
	size := uint64(fs.Bsize) //nolint:gosec // a block has a size
	return Space{Dir: dir, Free: fs.Bavail * size, Total: fs.Blocks * size, FreeFiles: fs.Ffree, Files: fs.Files}
}

// IsLow says that no new operation should start.
func (s Space) IsLow() bool { return s.Free < lowBytes || s.Files > 0 && s.FreeFiles < lowFiles }

// IsFull says that the servers can't work.
func (s Space) IsFull() bool { return s.Free < fullBytes || s.Files > 0 && s.FreeFiles < fullFiles }

// HasRoom says that servers which wait for free space can start again. It needs more space than !IsFull does, so that
// servers do not start and stop in turn.
func (s Space) HasRoom() bool {
	return s.Free >= enoughBytes && (s.Files == 0 || s.FreeFiles >= fullFiles*2)
}

// DescribeProblem says what is wrong; it is empty if the space is not low.
func (s Space) DescribeProblem() string {
	what := "nearly full"
	if s.IsFull() {
		what = "full"
	}
	switch {
	case !s.IsLow():
		return ""
	case s.Free >= lowBytes:
		return fmt.Sprintf("the disk of %s is %s: %d of %d file names (inodes) are free", s.Dir, what, s.FreeFiles,
			s.Files)
	}
	return fmt.Sprintf("the disk of %s is %s: %d of %d MiB are free", s.Dir, what, s.Free/mib, s.Total/mib)
}

// Hint says what to do about a problem, and what happens then.
const Hint = "free some disk space; skyd then continues by itself"

// CheckWritable tries to write a few KiB into a directory. It finds what the numbers do not show: a quota, or a disk
// that was mounted read-only.
func CheckWritable(dir string) error {
	f, err := os.CreateTemp(dir, ".room-*")
	if err != nil {
		return fmt.Errorf("writing into %s: %w", dir, trimFileName(err))
	}
	_, err = f.Write(make([]byte, 16<<10))
	err = errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
	if err != nil {
		return fmt.Errorf("writing into %s: %w", dir, trimFileName(err))
	}
	return nil
}

// trimFileName removes the name of the temporary file from an error.
func trimFileName(err error) error {
	if path := new(os.PathError); errors.As(err, &path) {
		return path.Err
	}
	return err
}

// IsFullError says whether an error means that the disk or a quota is full.
func IsFullError(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
