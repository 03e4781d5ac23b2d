// Package atomicfile writes files that only their owner can read (0600). A file is complete or absent, even if the
// process or the computer stops, and it is on the disk once the call returns.
package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// Write creates or replaces a file.
func Write(name string, data []byte) error { return WriteFrom(name, writes(data)) }

// Create creates a file. If it exists, the error wraps fs.ErrExist. Of several concurrent calls, one succeeds.
func Create(name string, data []byte) error { return CreateFrom(name, writes(data)) }

// WriteFrom is Write for content that a function writes.
func WriteFrom(name string, content func(io.Writer) error) error {
	return writeThenPublish(name, content, os.Rename)
}

// CreateFrom is Create for content that a function writes.
func CreateFrom(name string, content func(io.Writer) error) error {
	return writeThenPublish(name, content, os.Link)
}

func writes(data []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}
}

// writeThenPublish writes to a temporary file (.NAME-…) in the same directory, then gives it its name.
func writeThenPublish(name string, content func(io.Writer) error, give func(from, to string) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // already gone if it was renamed
	err = content(f)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := give(f.Name(), name); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(name))
}

// SyncDir writes changes of a directory's entries to the disk.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
