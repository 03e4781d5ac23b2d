package access

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/sky-shift/skyctl/pkg/remote"
)

// Copy is one transfer between this computer and a machine.
type Copy struct {
	Host *remote.Host
	// AsRoot reads and writes on the machine as root instead of the login user.
	AsRoot bool
	// Progress is told the bytes of files so far, and in total; total is 0 if it is unknown. It can be nil.
	Progress func(done, total int64)
}

// Location is a path on this computer or on a machine.
type Location struct {
	// Machine is the name of a cluster or machine; empty is this computer.
	Machine string
	Path    string
}

// ParseLocation reads PATH or NAME:PATH. As scp does, it takes a text with a slash before its first colon for a path on
// this computer.
func ParseLocation(text string) Location {
	name, rest, ok := strings.Cut(text, ":")
	for _, word := range append(clusterWords, machineWords...) { // cluster/NAME:PATH
		if after, is := strings.CutPrefix(name, word+"/"); is && ok && !strings.Contains(after, "/") {
			return Location{Machine: name, Path: rest}
		}
	}
	if !ok || name == "" || strings.Contains(name, "/") {
		return Location{Path: text}
	}
	return Location{Machine: name, Path: rest}
}

// receiveScript runs on the machine for an upload. It unpacks next to the destination and then renames, so that a file
// appears whole, and a directory too unless there is one already, whose files are then replaced one by one.
const receiveScript = `set -e; f=%[1]s; base=%[2]s
case $f in "") f=.;; esac
if [ -d "$f" ]; then f="${f%%/}/$base"; else case $f in */)
  echo "no such directory: $f" >&2; exit 1;; esac; fi
case $f in */*) dir=${f%%/*}; [ -n "$dir" ] || dir=/;; *) dir=.;; esac
[ -d "$dir" ] || { echo "no such directory: $dir" >&2; exit 1; }
t=$(mktemp -d -- "$dir/.skyctl-cp.XXXXXX")
trap 'chmod -R u+w -- "$t" 2>/dev/null || true; rm -rf -- "$t"' EXIT; trap 'exit 1' TERM HUP
tar -x -p --no-same-owner -f - -C "$t"
[ -e "$t/complete" ] || { echo "the transfer was interrupted" >&2; exit 65; }
if [ -d "$t/data" ] && [ -d "$f" ]; then
  (cd "$t/data" && find . -type d -print0) | (cd "$f" && xargs -0 mkdir -p --)
  into=$(cd "$f" && pwd)
  (cd "$t/data" && find . ! -type d -exec sh -c '
    into=$1; shift; for p; do mv -fT -- "$p" "$into/$p" || exit 1; done' - "$into" {} +)
else
  [ ! -d "$f" ] || { echo "$f is a directory, and the source is a file" >&2; exit 1; }
  mv -fT -- "$t/data" "$f"
fi`

// Upload copies a file or a directory with its modes and times to a path on the machine. A path that is a directory
// there gets it under its own name.
func (c *Copy) Upload(ctx context.Context, local, to string) error {
	info, err := os.Stat(local)
	if err != nil {
		return fmt.Errorf("copying: %w", err)
	}
	total, err := measureFiles(local, info)
	if err != nil {
		return fmt.Errorf("copying: %w", err)
	}
	script := fmt.Sprintf(receiveScript, remote.QuoteShell(dashSafe(to)), remote.QuoteShell(baseName(local)))
	r, w := io.Pipe()
	go func() { w.CloseWithError(writeArchive(w, local, c.countBytes(total))) }()
	defer r.Close()
	return c.runScript(ctx, "copying to "+to, script, r, io.Discard)
}

// sendScript runs on the machine for a download. tar exits with 1 if a file, such as a log, grew while it was read; the
// copy then has its beginning.
const sendScript = `f=%[1]s
case $f in "") f=.;; esac
[ -e "$f" ] || [ -L "$f" ] || { echo "no such file or directory: $f" >&2; exit 1; }
if [ -d "$f" ]; then tar -c -f - -C "$f" . || [ $? -eq 1 ]; exit; fi
case $f in */*) dir=${f%%/*}; [ -n "$dir" ] || dir=/;; *) dir=.;; esac
tar -c -h -f - -C "$dir" -- "${f##*/}" || [ $? -eq 1 ]`

// Download copies a file or a directory of the machine with its modes and times to a path on this computer. A path that
// is a directory gets it under its own name.
func (c *Copy) Download(ctx context.Context, from, local string) error {
	name := path.Base(path.Clean("/" + from))
	if info, err := os.Stat(local); err == nil && info.IsDir() {
		if name == "/" || name == "." || name == ".." {
			return fmt.Errorf("copying %s: it has no name of its own; name the file or directory to write", from)
		}
		local = filepath.Join(local, name)
	} else if strings.HasSuffix(local, "/") {
		return fmt.Errorf("copying to %s: no such directory", local)
	}
	in, err := newIncoming(local, c.countBytes(0))
	if err != nil {
		return fmt.Errorf("copying to %s: %w", local, err)
	}
	defer in.removeRest()
	r, w := io.Pipe()
	unpacked := make(chan error, 1)
	go func() {
		err := in.unpackArchive(r)
		r.CloseWithError(err)
		unpacked <- err
	}()
	err = c.runScript(ctx, "copying "+from, fmt.Sprintf(sendScript, remote.QuoteShell(dashSafe(from))), nil, w)
	w.CloseWithError(err) // nil is the end of the archive
	switch failed := <-unpacked; {
	case failed != nil && (err == nil || !errors.Is(failed, err)):
		return fmt.Errorf("copying to %s: %w", local, failed)
	case err != nil:
		return err
	}
	return in.moveIntoPlace()
}

// runScript runs a script of a transfer; its error has the last lines of the script's standard error.
func (c *Copy) runScript(ctx context.Context, doing, script string, stdin io.Reader, stdout io.Writer) error {
	var said errorTail
	exit, err := c.Host.RunUserCommand(ctx, remote.UserCommand{Line: script, AsRoot: c.AsRoot, Stdin: stdin,
		Stdout: stdout, Stderr: &said})
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", doing, err)
	case exit != 0:
		return fmt.Errorf("machine %s: %s failed: %s", c.Host.Name(), doing, said.describe(exit))
	}
	return nil
}

// dashSafe keeps a path from being taken for an option.
func dashSafe(name string) string {
	if strings.HasPrefix(name, "-") {
		return "./" + name
	}
	return name
}

// baseName is the name that a copy of a local path gets in a directory.
func baseName(local string) string {
	if full, err := filepath.Abs(local); err == nil {
		local = full
	}
	return filepath.Base(local)
}

// measureFiles returns the bytes of all regular files.
func measureFiles(local string, info fs.FileInfo) (total int64, err error) {
	if !info.IsDir() {
		return info.Size(), nil
	}
	err = filepath.WalkDir(local, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		i, err := e.Info()
		if err == nil {
			total += i.Size()
		}
		return err
	})
	return total, err
}

// countBytes returns a function that adds bytes to the progress.
func (c *Copy) countBytes(total int64) func(int) {
	done := int64(0)
	return func(n int) {
		if done += int64(n); c.Progress != nil {
			c.Progress(done, total)
		}
	}
}

// errorTail keeps the end of a standard error for a message.
type errorTail struct{ outputEnd }

func (t *errorTail) describe(exit int) string {
	lines := strings.Split(strings.TrimSpace(t.String()), "\n")
	if lines[0] == "" {
		return fmt.Sprintf("exit status %d", exit)
	}
	return strings.Join(lines[max(0, len(lines)-3):], "; ")
}
