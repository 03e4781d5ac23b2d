// Package inputfile reads what -f names: files, directories, standard input, and addresses on the web.
package inputfile

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// maxBytes bounds one file. A cluster is a few KiB, and a team has hundreds.
const maxBytes = 4 << 20

// maxFiles bounds the files of all directories together.
const maxFiles = 1000

// File is the content of a file, and the name by which messages call it.
type File struct {
	Name string
	Data []byte
}

// Source is where files are read from.
type Source struct {
	// Stdin is what "-" reads.
	Stdin io.Reader
	// Recursive: the directories below a directory are read too.
	Recursive bool
}

// Read returns the files that the names lead to, in their order; those of a directory are sorted by their paths. Each
// file is returned once. Its errors name the file.
func (s Source) Read(ctx context.Context, names []string) ([]File, error) {
	var files []File
	seen := map[string]bool{}
	add := func(name string, read func() ([]byte, error)) error {
		if seen[name] {
			return nil
		}
		seen[name] = true
		data, err := read()
		if err != nil {
			return err
		}
		files = append(files, File{Name: DisplayName(name), Data: data})
		return nil
	}
	for _, name := range names {
		var err error
		switch {
		case name == "":
			return nil, fmt.Errorf("-f needs a file, a directory, - or an address")
		case name == "-":
			err = add("standard input", func() ([]byte, error) { return s.readStdin(ctx) })
		case strings.Contains(name, "://"):
			err = add(name, func() ([]byte, error) { return download(ctx, name) })
		default:
			err = s.readPath(name, add)
		}
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// readPath reads a file or a directory.
func (s Source) readPath(name string, add func(string, func() ([]byte, error)) error) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	paths := []string{filepath.Clean(name)}
	if info.IsDir() {
		if paths, err = s.listDirectory(name); err != nil {
			return err
		}
	}
	for _, path := range paths {
		if err := add(path, func() ([]byte, error) { return regularfile.Read(path, maxBytes) }); err != nil {
			return err
		}
	}
	return nil
}

// extensions are those of the files that are read from directories.
var extensions = []string{".yaml", ".yml", ".json"}

// listDirectory returns the paths of the files of a directory that can declare clusters, sorted. It leaves out hidden
// files and directories, such as .git.
func (s Source) listDirectory(root string) ([]string, error) {
	var paths []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch hidden := path != root && strings.HasPrefix(entry.Name(), "."); {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (hidden || !s.Recursive):
			return filepath.SkipDir
		case !entry.IsDir() && !hidden && slices.Contains(extensions, filepath.Ext(path)):
			paths = append(paths, path)
		}
		if len(paths) > maxFiles {
			return fmt.Errorf("%s has more than %d files", root, maxFiles)
		}
		return nil
	})
	if err == nil && len(paths) == 0 {
		err = fmt.Errorf("%s has no files with the endings %s", root, strings.Join(extensions, ", "))
		if !s.Recursive {
			err = fmt.Errorf("%w; -R reads the directories below it too", err)
		}
	}
	slices.Sort(paths)
	return paths, err
}

// readStdin reads standard input to its end, or until ctx ends.
func (s Source) readStdin(ctx context.Context) ([]byte, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() { // it can outlive this function, until the input ends
		data, err := readBounded(s.Stdin, "standard input")
		done <- result{data, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-done:
		return r.data, r.err
	}
}

// readBounded reads to the end of at most maxBytes.
func readBounded(r io.Reader, name string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", name, err)
	case len(data) > maxBytes:
		return nil, fmt.Errorf("%s is too large: it may have %d MiB at most", name, maxBytes>>20)
	}
	return data, nil
}
