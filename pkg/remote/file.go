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
	if c.report != nil && c.ctx.Err() == nil && (time.Since(c.last) >= progressInterval || c.done == c.total && n > 0) {
		c.last = time.Now()
		c.report(c.done, c.total)
	}
	return n, err
}
