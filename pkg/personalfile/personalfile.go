// Package personalfile changes files in a person's home that other programs own, such as ~/.kube/config. A change is
// complete or does not happen; permissions, owner and symbolic links stay. Before the first entry of skyctl comes into
// a file, its content is kept next to it, and this copy goes once the file is the same again.
package personalfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sky-shift/skyctl/pkg/atomicfile"
	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// BackupSuffix is behind the name of a file in the name of its copy.
const BackupSuffix = ".before-skyctl"

// maxSize is the largest size of a file that is changed, in bytes.
const maxSize = 8 << 20

// Edit is a change of one file.
type Edit struct {
	Path string
	// OnlyExisting leaves a file alone that does not exist.
	OnlyExisting bool
	// Lock is taken while the file is read and written.
	Lock func(ctx context.Context) (release func(), err error)
	// HasEntries reports whether a text has entries of skyctl.
	HasEntries func(text []byte) bool
	// Change returns the new text. text is nil if the file does not exist; earlier is the text before the first entry
	// of skyctl, nil if it is unknown. If Change returns nil, the file is removed.
	Change func(text, earlier []byte) ([]byte, error)
}

// Apply carries out an edit, and reports whether the file was changed.
func Apply(ctx context.Context, e Edit) (changed bool, err error) {
	if _, err := os.Stat(e.Path); e.OnlyExisting && errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(e.Path), 0o700); err != nil {
		return false, fmt.Errorf("changing %s: %w", e.Path, err)
	}
	release, err := e.Lock(ctx)
	if err != nil {
		return false, fmt.Errorf("changing %s: %w", e.Path, err)
	}
	defer release()
	if changed, err = e.apply(resolveLinks(e.Path)); err != nil {
		return false, fmt.Errorf("changing %s: %w", e.Path, err)
	}
	return changed, nil
}

func (e Edit) apply(target string) (bool, error) {
	old, err := readIfExists(target)
	if err != nil {
		return false, err
	}
	backup := target + BackupSuffix
	earlier, err := readIfExists(backup)
	if err != nil {
		return false, err
	}
	had := old != nil && e.HasEntries(old)
	if !had {
		earlier = old
	}
	changed, err := e.Change(old, earlier)
	if err != nil || changed != nil && old != nil && bytes.Equal(changed, old) || changed == nil && old == nil {
		return false, err
	}
	if !had {
		if err := keepBackup(backup, target, old); err != nil {
			return false, err
		}
	}
	if changed == nil {
		err = removeFile(target)
	} else {
		err = write(target, changed, target)
	}
	if err == nil && bytes.Equal(changed, earlier) && earlier != nil {
		err = removeFile(backup)
	}
	return err == nil, err
}

// keepBackup keeps the text of a file; without a file there is nothing to keep.
func keepBackup(backup, target string, text []byte) error {
	if text == nil {
		return removeFile(backup)
	}
	return write(backup, text, target)
}

// readIfExists returns the text of a file, nil if it does not exist.
func readIfExists(path string) ([]byte, error) {
	text, err := regularfile.Read(path, maxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && text == nil {
		text = []byte{}
	}
	return text, err
}

// write replaces a file. It gets the permissions and the owner of the file model, or of its directory.
func write(path string, text []byte, model string) error {
	mode, owner := fs.FileMode(0o600), filepath.Dir(path)
	info, err := os.Stat(model)
	switch {
	case err == nil:
		mode, owner = info.Mode().Perm(), model
		if err := unix.Access(model, unix.W_OK); err != nil {
			return fmt.Errorf("%s is read-only: %w", model, fs.ErrPermission)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // already gone if it was renamed
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), giveOwner(f, owner), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(path))
}

// giveOwner lets root write for somebody else without taking the file away.
func giveOwner(f *os.File, model string) error {
	info, err := os.Stat(model)
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return f.Chown(int(s.Uid), int(s.Gid))
	}
	return nil
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// resolveLinks returns the file that is at the end of symbolic links, also if it does not exist.
func resolveLinks(path string) string {
	for range 40 { // as many as Linux follows
		target, err := os.Readlink(path)
		if err != nil {
			return path
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return path
}

// IsOthers reports whether a file exists and belongs to another user, in whose place only root can change it.
func IsOthers(path string) bool {
	return IsOfOther(path) && os.Geteuid() != 0
}

// IsOfOther reports whether a file exists and belongs to another user than that of this process.
func IsOfOther(path string) bool {
	_, err := os.Stat(path)
	return err == nil && !IsOwn(path)
}

// IsOwn reports whether a file belongs to the user of this process.
func IsOwn(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == os.Geteuid()
}
