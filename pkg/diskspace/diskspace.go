// Package diskspace says how much room is left where a directory is, and whether that is enough to work.
package diskspace

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const (
	mib = 1 << 20
	// lowBytes is what a create should find: etcd sets aside 64 MiB at a time, and Temporal's database grows with each
	// operation.
	lowBytes = 256 * mib
	// fullBytes is too little to work: etcd ends where it can't write its log. Work begins again at roomBytes.
	fullBytes, roomBytes = 16 * mib, 80 * mib
	// lowFiles and fullFiles are the same of file names (inodes), on file systems that have a fixed number of them.
	lowFiles, fullFiles = 1000, 50
)

// Space is the room on a file system.
type Space struct {
	Dir         string
	Free, Total uint64 // bytes; Free leaves out what the file system keeps for root, as df does
	// FreeFiles and Files count inodes; Files is 0 where the file system has no fixed number.
	FreeFiles, Files uint64
}

// ReadSpace reads the room where a directory is.
func ReadSpace(dir string) (Space, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return Space{}, fmt.Errorf("looking at the disk of %s: %w", dir, err)
	}
	return spaceOf(dir, fs), nil
}

func spaceOf(dir string, fs unix.Statfs_t) Space {
	size := uint64(fs.Bsize) //nolint:gosec // a block has a size
	return Space{Dir: dir, Free: fs.Bavail * size, Total: fs.Blocks * size, FreeFiles: fs.Ffree, Files: fs.Files}
}

// IsLow says that no new work should begin.
func (s Space) IsLow() bool { return s.Free < lowBytes || s.Files > 0 && s.FreeFiles < lowFiles }

// IsFullError says that the server can't work.
func (s Space) IsFull() bool { return s.Free < fullBytes || s.Files > 0 && s.FreeFiles < fullFiles }

// HasRoom says that a server which waits for room can begin again: some more than what Full asks for, so that it does
// not begin and end in turn.
func (s Space) HasRoom() bool {
	return s.Free >= roomBytes && (s.Files == 0 || s.FreeFiles >= fullFiles*2)
}

// DescribeProblem says what is wrong; empty where nothing is.
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

// Hint is what to do about a problem, and what happens by itself then.
const Hint = "make room; everything goes on by itself then"

// CheckWritable tries to write a few KiB into a directory. It finds what the numbers don't show: a quota, or a disk
// that was made read-only.
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

// trimFileName takes the name of the file off an error: it stands for nothing.
func trimFileName(err error) error {
	if path := new(os.PathError); errors.As(err, &path) {
		return path.Err
	}
	return err
}

// IsFullError says whether an error is that of a disk or a quota that is full.
func IsFullError(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
