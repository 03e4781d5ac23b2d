// Package atomicfile writes files for their owner's eyes alone (0600): each is there whole or not at all, whenever the
// process or the machine ends, and on the disk once the writer returns.
package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
)

// Write puts a file in place, over the one that is there.
func Write(name string, data []byte) error { return writeThenPublish(name, data, os.Rename) }

// Create puts a file in place where there is none; else its error wraps fs.ErrExist. Of many who do so at once, one
// does.
func Create(name string, data []byte) error { return writeThenPublish(name, data, os.Link) }

// writeThenPublish writes under another name (.NAME-…) beside the file first, and then gives it its own.
func writeThenPublish(name string, data []byte, give func(from, to string) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already where it was renamed
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := give(f.Name(), name); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(name))
}

// SyncDir brings the names in a directory to the disk: what was put there, and what was taken away.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
