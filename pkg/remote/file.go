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
	// The exit statuses by which our own scripts say what was wrong.
	exitCut      = 65
	exitNotThere = 66
)

// WriteFile puts data into a file of root's with that mode, whole or not at all; missing directories are made.
func (h *Host) WriteFile(ctx context.Context, name string, data []byte, mode os.FileMode) error {
	script := fmt.Sprintf(writeScript, QuoteShell(path.Dir(name)), QuoteShell(name), len(data), mode.Perm())
	err := h.runCall(ctx, call{name: "writing " + name, script: script, stdout: io.Discard,
		feed: func(w io.Writer) error {
			_, err := w.Write(data)
			return err
		}})
	return h.toLostIfCut(err, "writing "+name)
}

// writeScript is the far side of WriteFile; mktemp makes the file 0600 from the start.
const writeScript = `set -e; f=%[2]s
mkdir -p %[1]s
t=$(mktemp "$f.XXXXXX")
trap 'rm -f "$t"' EXIT; trap 'exit 1' TERM HUP
head -c %[3]d >"$t"
[ "$(wc -c <"$t")" -eq %[3]d ] || exit 65
chmod %04[4]o "$t"; chown 0:0 "$t"
mv -f "$t" "$f"`

// ReadFile returns the content of a file; one that isn't there is an fs.ErrNotExist.
func (h *Host) ReadFile(ctx context.Context, name string) ([]byte, error) {
	q := QuoteShell(name)
	b, err := h.RunScript(ctx, "reading "+name, fmt.Sprintf("[ -e %s ] || exit %d; cat %s", q, exitNotThere, q))
	if exitStatusOf(err) == exitNotThere {
		return nil, fmt.Errorf("machine %s: reading %s: %w", h.target.Name, name, fs.ErrNotExist)
	}
	return b, err
}

// UploadFile brings a local file to the machine under a name, 0644 and root's. A file of that name with the right
// sha256 is left as it is. The content is hashed as it arrives, and only what matches gets the name: a cut upload
// leaves nothing under it. Where the local file is not what was pinned, the error is a *ChecksumMismatch. progress may
// be nil.
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
	if exitStatusOf(err) != exitCut {
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

// uploadScript is the far side of Upload. The lock on the directory makes a second upload wait for the first, whose
// file it then finds, and lets the name of the unfinished file be a fixed one, which the next try takes over.
const uploadScript = `set -e; f=%[2]s; want=%[4]s
mkdir -p %[1]s
exec 9<%[1]s; flock -w 600 9
if [ -f "$f" ] && [ "$(sha256sum <"$f" | cut -c1-64)" = "$want" ]; then echo have; exit 0; fi
t="$f.part"; trap 'rm -f "$t"' EXIT; trap 'exit 1' TERM HUP
rm -f "$t"
echo send
got=$(head -c %[3]d | tee "$t" | sha256sum | cut -c1-64)
[ "$got" = "$want" ] || { echo "sha256 of what arrived: $got" >&2; exit 65; }
chmod 0644 "$t"; chown 0:0 "$t"
mv -f "$t" "$f"`

// toLostIfCut turns our scripts' word for "not all of it arrived" into a lost connection.
func (h *Host) toLostIfCut(err error, doing string) error {
	if exitStatusOf(err) == exitCut {
		return &Lost{Machine: h.target.Name, Doing: doing, Cause: errors.New("not all of it arrived")}
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

// progressReader reports how much was read.
type progressReader struct {
	ctx         context.Context // reports end with it
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
