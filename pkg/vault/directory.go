package vault

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"filippo.io/age"

	"github.com/sky-shift/skyctl/pkg/atomicfile"
	"github.com/sky-shift/skyctl/pkg/filelock"
	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// lockFile is held shared while files are written, and alone while leftovers are removed.
const lockFile = ".lock"

// leftover matches the temporary files of atomicfile, which a killed process leaves.
var leftover = regexp.MustCompile(`^\.[A-Za-z0-9][A-Za-z0-9._-]*-[0-9]+$`)

// Directory is a vault in a directory. Its files have the mode 0600; directories that it makes, 0700.
type Directory struct {
	dir      string
	identity *age.X25519Identity
	quota    uint64 // bytes of all files together
}

var _ Vault = (*Directory)(nil)

// NewDirectory returns the vault in a directory, which Put makes if it is missing. All files in the directory, with
// those that are being written, never need more than quotaBytes.
func NewDirectory(dir, identity string, quotaBytes uint64) (*Directory, error) {
	key, err := parseIdentity(identity)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	return &Directory{dir: dir, identity: key, quota: quotaBytes}, nil
}

func (d *Directory) path(name string) string { return filepath.Join(d.dir, filepath.FromSlash(name)) }

// Put implements Vault.
func (d *Directory) Put(ctx context.Context, name string, r io.Reader) (int64, error) {
	if err := checkName(name); err != nil {
		return 0, err
	}
	doing := "keeping " + name + " in " + d.dir
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return 0, diskError(doing, err)
	}
	if err := d.removeLeftovers(); err != nil {
		return 0, diskError(doing, err)
	}
	release, err := filelock.AcquireShared(ctx, filepath.Join(d.dir, lockFile))
	if err != nil {
		return 0, contextOr(ctx, diskError(doing, err))
	}
	defer release()
	if err := d.requireRoom(sealedSize(r)); err != nil {
		return 0, err
	}
	if err := os.MkdirAll(filepath.Dir(d.path(name)), 0o700); err != nil {
		return 0, diskError(doing, err)
	}
	var room *roomWriter
	err = atomicfile.WriteFrom(d.path(name), func(w io.Writer) error {
		room = &roomWriter{w: w, dir: d}
		buffered := bufio.NewWriterSize(room, checkedChunk)
		if err := seal(ctx, buffered, d.identity, r); err != nil {
			return err
		}
		return buffered.Flush()
	})
	if source := new(readError); errors.As(err, &source) {
		return 0, source
	}
	if err != nil {
		return 0, contextOr(ctx, diskError(doing, err))
	}
	return room.written, nil
}

// contextOr returns why the context ended if that is the cause of an error, and otherwise the error.
func contextOr(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil && errors.Is(err, cause) {
		return cause
	}
	return err
}

// Open implements Vault.
func (d *Directory) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	f, err := regularfile.Open(d.path(name))
	if err != nil {
		return nil, diskError("opening "+name+" in "+d.dir, err)
	}
	return openSealed(&fileReader{ctx: ctx, File: f, name: name}, d.identity, name)
}

// fileReader ends with its context, and gives errors of the disk their kind.
type fileReader struct {
	ctx context.Context //nolint:containedctx // a reader of one call
	*os.File
	name string
}

func (f *fileReader) Read(p []byte) (int, error) {
	if f.ctx.Err() != nil {
		return 0, context.Cause(f.ctx)
	}
	n, err := f.File.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = diskError("reading "+f.name, err)
	}
	return n, err
}

// Delete implements Vault.
func (d *Directory) Delete(_ context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	doing := "deleting " + name + " in " + d.dir
	switch err := os.Remove(d.path(name)); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return diskError(doing, err)
	}
	if err := atomicfile.SyncDir(filepath.Dir(d.path(name))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return diskError(doing, err)
	}
	return diskError(doing, d.removeLeftovers())
}

// List implements Vault.
func (d *Directory) List(ctx context.Context) ([]Entry, error) {
	var all []Entry
	err := d.walk(func(path string, info fs.FileInfo) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		name, err := filepath.Rel(d.dir, path)
		if err != nil {
			return err
		}
		if name = filepath.ToSlash(name); checkName(name) == nil {
			all = append(all, Entry{Name: name, Bytes: info.Size()})
		}
		return nil
	})
	if err != nil {
		return nil, contextOr(ctx, diskError("listing "+d.dir, err))
	}
	slices.SortFunc(all, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// walk visits all regular files, also those that are being written, and none if there is no directory yet. Files may
// come and go meanwhile.
func (d *Directory) walk(visit func(path string, info fs.FileInfo) error) error {
	return filepath.WalkDir(d.dir, func(path string, entry fs.DirEntry, err error) error {
		var info fs.FileInfo
		if err == nil && entry.Type().IsRegular() {
			info, err = entry.Info()
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case info == nil:
			return nil
		}
		return visit(path, info)
	})
}

// removeLeftovers removes what a killed Put has left, and folders without files, if nobody is writing.
func (d *Directory) removeLeftovers() error {
	release, alone, err := filelock.TryAcquire(filepath.Join(d.dir, lockFile))
	if err != nil || !alone {
		return err
	}
	defer release()
	var folders []string
	err = filepath.WalkDir(d.dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != d.dir:
			folders = append(folders, path)
		case entry.Type().IsRegular() && leftover.MatchString(entry.Name()):
			return os.Remove(path)
		}
		return nil
	})
	for _, folder := range slices.Backward(folders) { // the inner ones first
		_ = os.Remove(folder) // fails if it has files
	}
	return err
}
