package remote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/regularfile"
)

const (
	copyBuffer = 256 << 10
	// progressInterval spaces the reports of an upload.
	progressInterval = 250 * time.Millisecond
	// The exit statuses of our scripts.
	exitTruncated = 65
	exitNoFile    = 66
)

// WriteFile writes a file that root owns, with the given mode, completely or not at all; it creates missing
// directories.
func (h *Host) WriteFile(ctx context.Context, name string, data []byte, mode os.FileMode) error {
	script := fmt.Sprintf(writeScript, QuoteShell(path.Dir(name)), QuoteShell(name), len(data), mode.Perm())
	err := h.runCall(ctx, call{name: "writing " + name, script: script, stdout: io.Discard,
		feed: func(w io.Writer) error {
			_, err := w.Write(data)
			return err
		}})
	return h.toLostIfCut(err, "writing "+name)
}

// writeScript runs on the machine for WriteFile; mktemp creates the file with mode 0600.
const writeScript = `set -e; f=%[2]s
mkdir -p %[1]s
t=$(mktemp "$f.XXXXXX")
trap 'rm -f "$t"' EXIT; trap 'exit 1' TERM HUP
head -c %[3]d >"$t"
[ "$(wc -c <"$t")" -eq %[3]d ] || exit 65
chmod %04[4]o "$t"; chown 0:0 "$t"
mv -f "$t" "$f"`

// ReadFile returns the content of a file; the error of a missing one is fs.ErrNotExist.
func (h *Host) ReadFile(ctx context.Context, name string) ([]byte, error) {
	q := QuoteShell(name)
	b, err := h.RunScript(ctx, "reading "+name, fmt.Sprintf("[ -e %s ] || exit %d; cat %s", q, exitNoFile, q))
	if exitStatusOf(err) == exitNoFile {
		return nil, fmt.Errorf("machine %s: reading %s: %w", h.target.Name, name, fs.ErrNotExist)
	}
	return b, err
}

// CopyFile writes the content of a file on the machine to w as it arrives. The error of a missing file is
// fs.ErrNotExist; that of w is wrapped. A caller that has to know that nothing was cut off compares the size or a
// checksum.
func (h *Host) CopyFile(ctx context.Context, name string, w io.Writer) error {
	q, doing := QuoteShell(name), "reading "+name
	out := &errorKeeper{w: w}
	err := h.runCall(ctx, call{name: doing, stdout: out,
		script: fmt.Sprintf("[ -e %s ] || exit %d; exec cat %s", q, exitNoFile, q)})
	switch failed := out.keptError(); {
	case failed != nil:
		return fmt.Errorf("machine %s: %s: %w", h.target.Name, doing, failed)
	case exitStatusOf(err) == exitNoFile:
		return fmt.Errorf("machine %s: %s: %w", h.target.Name, doing, fs.ErrNotExist)
	}
	return err
}

// UploadFile copies a local file to the machine, owned by root with mode 0644. A file with the right sha256 is not
// replaced. The content is hashed as it arrives and gets its name only if the hash matches: an interrupted upload
// leaves no file with that name. If the local file does not match, the error is a *ChecksumMismatch. progress may be
// nil.
func (h *Host) UploadFile(ctx context.Context, local, name, sum string, progress func(done, total int64)) error {
	f, err := regularfile.Open(local)
	if err != nil {
		return fmt.Errorf("uploading to machine %s: %w", h.target.Name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("uploading %s to machine %s: %w", local, h.target.Name, err)
	}
	sum = strings.ToLower(sum)
	doing := "uploading " + path.Base(name)
	first := make(chan string, 1)
	out := &firstLineWriter{first: first, rest: io.Discard}
	err = h.runCall(ctx, call{
		name:   doing,
		script: fmt.Sprintf(uploadScript, QuoteShell(path.Dir(name)), QuoteShell(name), info.Size(), QuoteShell(sum)),
		stdout: out, ended: out.closeFirst,
		feed: func(w io.Writer) error {
			if l := <-first; l != "send" {
				return nil
			}
			_, err := io.CopyBuffer(struct{ io.Writer }{w},
				&progressReader{ctx: ctx, r: f, total: info.Size(), report: progress}, make([]byte, copyBuffer))
			return err
		},
	})
	if exitStatusOf(err) != exitTruncated {
		return err
	}
	got, herr := hashFile(ctx, local)
	if herr != nil {
		return fmt.Errorf("uploading to machine %s: %w", h.target.Name, herr)
	}
	if got != sum {
		return &ChecksumMismatch{Machine: h.target.Name, Local: local, Want: sum, Got: got}
	}
	return h.toLostIfCut(err, doing)
}

// UploadStream copies a stream of a size in bytes to a file on the machine, which root owns, with the given mode, and
// returns its sha256. The file gets its name only if all of the stream has arrived: an error of the stream is the error
// of the upload. progress may be nil.
func (h *Host) UploadStream(ctx context.Context, from io.Reader, size int64, name string, mode os.FileMode,
	progress func(done, total int64)) (sum string, err error) {
	doing := "uploading " + path.Base(name)
	var out limitedBuffer
	err = h.runCall(ctx, call{
		name:   doing,
		script: fmt.Sprintf(streamScript, QuoteShell(path.Dir(name)), QuoteShell(name), size, mode.Perm()),
		stdout: &out,
		feed: func(w io.Writer) error {
			_, err := io.CopyBuffer(struct{ io.Writer }{w},
				&progressReader{ctx: ctx, r: from, total: size, report: progress}, make([]byte, copyBuffer))
			return err
		},
	})
	return strings.TrimSpace(string(out.b)), h.toLostIfCut(err, doing)
}

// streamScript runs on the machine for UploadStream.
const streamScript = `set -e; f=%[2]s
umask 077
mkdir -p %[1]s
t=$(mktemp "$f.XXXXXX"); trap 'rm -f "$t"' EXIT; trap 'exit 1' TERM HUP
sum=$(head -c %[3]d | tee "$t" | sha256sum | cut -c1-64)
if [ "$(wc -c <"$t")" -ne %[3]d ]; then
  [ "$(df -Pk "$t" | awk 'NR == 2 {print $4}')" -gt 4 ] || { echo "No space left for $f" >&2; exit 1; }
  exit 65
fi
chmod %04[4]o "$t"; chown 0:0 "$t"
mv -f "$t" "$f"
echo "$sum"`

// uploadScript runs on the machine for UploadFile. It locks the directory, so that a concurrent upload waits and then
// finds the file, and the partial file can have a fixed name, which the next attempt overwrites.
const uploadScript = `set -e; f=%[2]s; want=%[4]s
mkdir -p %[1]s
exec 9<%[1]s; flock -w 600 9
if [ -f "$f" ] && [ "$(sha256sum <"$f" | cut -c1-64)" = "$want" ]; then echo have; exit 0; fi
t="$f.part"; trap 'rm -f "$t"' EXIT; trap 'exit 1' TERM HUP
rm -f "$t"
echo send
got=$(head -c %[3]d | tee "$t" | sha256sum | cut -c1-64)
[ "$got" = "$want" ] || { echo "sha256 of the received data: $got" >&2; exit 65; }
chmod 0644 "$t"; chown 0:0 "$t"
mv -f "$t" "$f"`

// toLostIfCut converts the exit status of a truncated transfer into a lost connection.
func (h *Host) toLostIfCut(err error, doing string) error {
	if exitStatusOf(err) == exitTruncated {
		return &Lost{Machine: h.target.Name, Doing: doing, Cause: errors.New("the transfer was interrupted")}
	}
	return err
}

func exitStatusOf(err error) int {
	var run *RunError
	if errors.As(err, &run) {
		return run.Exit
	}
	return 0
}

func hashFile(ctx context.Context, name string) (string, error) {
	f, err := regularfile.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	buf := make([]byte, copyBuffer)
	for ctx.Err() == nil {
		n, err := f.Read(buf)
		sum.Write(buf[:n])
		if err == io.EOF {
			return hex.EncodeToString(sum.Sum(nil)), nil
		}
		if err != nil {
			return "", fmt.Errorf("hashing %s: %w", name, err)
		}
	}
	return "", fmt.Errorf("hashing %s: %w", name, context.Cause(ctx))
}

// progressReader reports the number of bytes read.
type progressReader struct {
	ctx         context.Context // no reports after it ends
	r           io.Reader
	done, total int64
	report      func(done, total int64)
	last        time.Time
}

func (c *progressReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.done += int64(n)
	if n > 0 && c.report != nil && c.ctx.Err() == nil &&
		(time.Since(c.last) >= progressInterval || c.done == c.total) {
		c.last = time.Now()
		c.report(c.done, c.total)
	}
	return n, err
}
