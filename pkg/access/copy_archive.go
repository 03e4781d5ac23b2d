package access

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The names in the archive of an upload: what is copied, and a mark after it. An archive without the mark was cut off.
const (
	archiveData     = "data"
	archiveComplete = "complete"
)

// writeArchive writes a file or a directory as a tar archive. Devices, pipes and sockets are errors.
func writeArchive(w io.Writer, local string, count func(int)) error {
	to := tar.NewWriter(w)
	top, err := filepath.EvalSymlinks(local) // a link that is named is followed, others are kept
	if err != nil {
		return err
	}
	err = filepath.WalkDir(top, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, name)
		if err != nil {
			return err
		}
		return addToArchive(to, name, path.Join(archiveData, filepath.ToSlash(rel)), e, count)
	})
	if err == nil {
		err = to.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: archiveComplete, Mode: 0o600})
	}
	return errors.Join(err, to.Close())
}

func addToArchive(to *tar.Writer, name, as string, e fs.DirEntry, count func(int)) error {
	info, err := e.Info()
	if err != nil {
		return err
	}
	link := ""
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		if link, err = os.Readlink(name); err != nil {
			return err
		}
	case !info.IsDir() && !info.Mode().IsRegular():
		return fmt.Errorf("%s is neither a file, a directory nor a link", name)
	}
	h, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	h.Name, h.Uname, h.Gname, h.Uid, h.Gid = as, "", "", 0, 0
	h.ModTime = h.ModTime.Truncate(time.Second) // as the other direction has it: tar would round up
	h.Mode &= 0o777                             // a copy has no right that its owner did not get on the machine
	if err := to.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()                              // only read from
	_, err = io.CopyN(to, &countingReader{f, count}, info.Size()) // a file that grows is cut off at its size
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%s became shorter while it was copied", name)
	}
	return err
}

type countingReader struct {
	r     io.Reader
	count func(int)
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.count(n)
	return n, err
}

// incoming is a download that has not got its name yet. Its files are written below a directory of its own that nothing
// in the archive can leave.
type incoming struct {
	local string
	dir   string
	root  *os.Root
	count func(int)
	// modes are those of directories, which are set last, so that files can be written to them.
	modes map[string]fs.FileMode
}

func newIncoming(local string, count func(int)) (*incoming, error) {
	dir, err := os.MkdirTemp(filepath.Dir(local), ".skyctl-cp.")
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	return &incoming{local: local, dir: dir, root: root, count: count, modes: map[string]fs.FileMode{}}, nil
}

// unpackArchive writes what an archive has: one file as "data", or a directory "." as the directory "data".
func (in *incoming) unpackArchive(r io.Reader) error {
	from, err := tar.NewReader(r), error(nil)
	for err == nil {
		var h *tar.Header
		if h, err = from.Next(); err == nil {
			err = in.unpackEntry(from, h)
		}
	}
	if errors.Is(err, io.EOF) {
		_, err = io.Copy(io.Discard, r) // padding
	}
	return err
}

func (in *incoming) unpackEntry(r io.Reader, h *tar.Header) error {
	name := archiveData
	if clean := path.Clean(h.Name); h.Name == "." || strings.HasPrefix(h.Name, "./") {
		name = path.Join(archiveData, clean)
	}
	mode := fs.FileMode(h.Mode) & 0o777 //nolint:gosec // cut to the permissions
	switch h.Typeflag {
	case tar.TypeDir:
		in.modes[name] = mode
		return in.root.MkdirAll(name, 0o700)
	case tar.TypeSymlink:
		return in.root.Symlink(h.Linkname, name)
	case tar.TypeLink:
		return in.root.Link(path.Join(archiveData, path.Clean(h.Linkname)), name)
	case tar.TypeReg:
	default:
		return fmt.Errorf("%s on the machine is neither a file, a directory nor a link", h.Name)
	}
	f, err := in.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, &countingReader{r, in.count})
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err == nil {
		err = in.root.Chtimes(name, h.ModTime, h.ModTime)
	}
	return err
}

// moveIntoPlace gives the download its name: a file or a new directory at once; in a directory that exists, file by
// file.
func (in *incoming) moveIntoPlace() error {
	data := filepath.Join(in.dir, archiveData)
	info, err := os.Lstat(data)
	if err != nil {
		return fmt.Errorf("copying to %s: the machine sent nothing", in.local)
	}
	there, err := os.Stat(in.local)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case err == nil && there.IsDir() && !info.IsDir():
		return fmt.Errorf("%s is a directory, and the source is a file", in.local)
	case err == nil && !there.IsDir() && info.IsDir():
		return fmt.Errorf("%s is a file, and the source is a directory", in.local)
	case err == nil && there.IsDir():
		return in.mergeInto(data)
	}
	if err := in.setModesBelowTop(); err != nil {
		return err
	}
	if err := os.Rename(data, in.local); err != nil || !info.IsDir() {
		return err
	}
	return os.Chmod(in.local, in.modes[archiveData]) // a directory without write permission cannot be moved
}

// setModesBelowTop sets the modes of the directories inside the download, the deepest first: a mode may forbid to enter
// one.
func (in *incoming) setModesBelowTop() error {
	var errs []error
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(in.modes))) {
		if name != archiveData {
			errs = append(errs, in.root.Chmod(name, in.modes[name]))
		}
	}
	return errors.Join(errs...)
}

// mergeInto moves each file to its place in a directory that exists. Links in that directory are not followed: an
// earlier download may have brought them.
func (in *incoming) mergeInto(data string) error {
	return filepath.WalkDir(data, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(data, name)
		if err != nil {
			return err
		}
		to := filepath.Join(in.local, rel)
		if !e.IsDir() {
			return os.Rename(name, to)
		}
		if err := os.Mkdir(to, 0o700); err != nil {
			if there, statErr := os.Lstat(to); statErr == nil && (there.IsDir() || rel == ".") { // it keeps its mode
				return nil
			}
			if errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("%s is a link or a file, and the source is a directory", to)
			}
			return err
		}
		return os.Chmod(to, in.modes[path.Join(archiveData, filepath.ToSlash(rel))]|0o700)
	})
}

// removeRest removes what did not get a name.
func (in *incoming) removeRest() {
	_ = in.root.Close()
	_ = os.RemoveAll(in.dir)
}
