// Package regularfile opens and reads only regular files of a limited size. It rejects pipes, on which a read can block
// forever, devices, sockets and directories. It follows symbolic links.
package regularfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// SmallFile bounds settings, keys, certificates and the like, in bytes.
const SmallFile = 1 << 20

// ErrNotRegular is wrapped by errors about a name that is not a regular file.
var ErrNotRegular = errors.New("not a regular file")

// ErrTooLarge is wrapped by errors about a file that is larger than allowed.
var ErrTooLarge = errors.New("too large")

// Open opens a regular file for reading. It checks the kind of the file before it opens it, because opening can affect
// a device or block on a pipe, and again afterwards, because the name may have been reused in between.
func Open(name string) (*os.File, error) { return OpenFile(name, os.O_RDONLY, 0) }

// OpenFile is os.OpenFile for regular files; flag may hold os.O_CREATE.
func OpenFile(name string, flag int, mode fs.FileMode) (*os.File, error) {
	info, err := os.Stat(name)
	if err == nil {
		err = checkRegular(name, info)
	}
	if err != nil && (flag&os.O_CREATE == 0 || !errors.Is(err, fs.ErrNotExist)) {
		return nil, err
	}
	f, err := os.OpenFile(name, flag|unix.O_NONBLOCK, mode) // no wait, whatever it may be by now
	if err != nil {
		return nil, err
	}
	if info, err = f.Stat(); err == nil {
		err = checkRegular(name, info)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// Read reads a regular file of at most that many bytes.
func Read(name string, most int64) ([]byte, error) {
	f, err := Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	return ReadAll(f, most)
}

// ReadAll reads the rest of an open file, which may have at most that many bytes.
func ReadAll(f *os.File, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(f, most+1)) // what a file says of its size may change while it is read
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%s is %w: it may have %d KiB at most", f.Name(), ErrTooLarge, most>>10)
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}

func checkRegular(name string, info fs.FileInfo) error {
	if info.Mode().IsRegular() {
		return nil
	}
	return fmt.Errorf("%s is %w but %s", name, ErrNotRegular, describeFileKind(info.Mode()))
}

func describeFileKind(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe (FIFO)"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "something else"
}
