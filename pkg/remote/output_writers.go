package remote

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/sky-shift/skyctl/pkg/redact"
)

// limitExceeded says which bound an output went past.
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

// limitedBuffer keeps all of an output, within maxOutput.
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
	mu    sync.Mutex
	w     io.Writer
	isOut bool
}

func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isOut {
		return len(p), nil
	}
	return g.w.Write(p)
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.isOut = true
}

// maxLine bounds a single line; what is longer is cut.
const maxLine = 64 << 10

// lineWriter hands an output over line by line.
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

// firstLineWriter sends an output's first line on a channel and passes the rest on.
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

// closeFirst says that no first line will come any more.
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
	// maxQuoted bounds a line that is quoted.
	maxQuoted = 500
)

// tailBuffer keeps the end of an output, for people: it gives no secrets away.
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

// lastLines are the last lines. Where the beginning was cut off, the line that it was cut in is left out: the rest of a
// secret could not be known in it.
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
