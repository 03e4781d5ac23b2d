package remote

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/sky-shift/skyctl/pkg/redact"
)

// limitExceeded is the limit that an output exceeded.
type limitExceeded struct {
	where string
	limit int
}

func (e *limitExceeded) Error() string {
	return fmt.Sprintf("more than %s%s", formatSize(e.limit), e.where)
}

func formatSize(bytes int) string {
	if bytes >= 1<<20 {
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d KiB", bytes>>10)
}

// limitedBuffer stores an output of at most maxOutput bytes.
type limitedBuffer struct{ b []byte }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if len(b.b)+len(p) > maxOutput {
		return 0, &limitExceeded{limit: maxOutput}
	}
	b.b = append(b.b, p...)
	return len(p), nil
}

// gate passes writes on until it is shut.
type gate struct {
	mu     sync.Mutex
	w      io.Writer
	isShut bool
}

func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isShut {
		return len(p), nil
	}
	return g.w.Write(p)
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.isShut = true
}

// errorKeeper passes writes on and keeps the first error.
type errorKeeper struct {
	w   io.Writer
	mu  sync.Mutex
	err error
}

func (k *errorKeeper) Write(p []byte) (int, error) {
	n, err := k.w.Write(p)
	if err != nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.err == nil {
			k.err = err
		}
	}
	return n, err
}

func (k *errorKeeper) keptError() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}

// maxLine bounds a line; longer lines are cut.
const maxLine = 64 << 10

// lineWriter passes an output on line by line.
type lineWriter struct {
	each func(string)
	part []byte
}

func (l *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			l.appendPart(p)
			return n, nil
		}
		l.appendPart(p[:i])
		l.each(strings.TrimSuffix(string(l.part), "\r"))
		l.part, p = l.part[:0], p[i+1:]
	}
}

func (l *lineWriter) appendPart(p []byte) {
	l.part = append(l.part, p[:min(len(p), maxLine-len(l.part))]...)
}

// firstLineWriter sends the first line of an output on a channel and passes the rest on.
type firstLineWriter struct {
	first chan<- string
	rest  io.Writer
	part  []byte
	mu    sync.Mutex
	done  bool
}

func (f *firstLineWriter) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return f.rest.Write(p)
	}
	n := len(p)
	i := bytes.IndexByte(p, '\n')
	if i < 0 {
		if f.part = append(f.part, p...); len(f.part) > maxLine {
			return 0, &limitExceeded{where: " in its first line", limit: maxLine}
		}
		return n, nil
	}
	f.done = true
	f.first <- string(append(f.part, p[:i]...))
	close(f.first)
	if _, err := f.rest.Write(p[i+1:]); err != nil {
		return 0, err
	}
	return n, nil
}

// closeFirst closes the channel if no first line arrived.
func (f *firstLineWriter) closeFirst() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.done {
		f.done = true
		close(f.first)
	}
}

const (
	tailLines = 20
	tailBytes = 16 << 10
	// maxQuoted bounds a quoted line.
	maxQuoted = 500
)

// tailBuffer keeps the end of an output for messages, without secrets.
type tailBuffer struct {
	b   []byte
	cut bool
}

func (t *tailBuffer) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - tailBytes; over > 0 {
		t.b, t.cut = append(t.b[:0], t.b[over:]...), true
	}
	return len(p), nil
}

// lastLines returns the last lines. If the beginning was dropped, so is the line in which the rest starts: a secret
// that was cut could not be recognized.
func (t *tailBuffer) lastLines() []string {
	text := string(t.b)
	if _, rest, more := strings.Cut(text, "\n"); t.cut && more {
		text = rest
	}
	out := redact.Lines(text)
	out = out[max(0, len(out)-tailLines):]
	for i, l := range out {
		if len(l) > maxQuoted {
			out[i] = strings.ToValidUTF8(l[:maxQuoted], "") + "…"
		}
	}
	return out
}
