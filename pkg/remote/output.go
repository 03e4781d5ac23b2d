package remote

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
)

var errTooMuch = errors.New("the output is too long")

// buffer keeps all of an output, within maxOutput.
type buffer struct{ b []byte }

func (b *buffer) Write(p []byte) (int, error) {
	if len(b.b)+len(p) > maxOutput {
		return 0, errTooMuch
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

// lines hands an output over line by line.
type lines struct {
	each func(string)
	part []byte
}

func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			l.keep(p)
			return n, nil
		}
		l.keep(p[:i])
		l.each(strings.TrimSuffix(string(l.part), "\r"))
		l.part, p = l.part[:0], p[i+1:]
	}
}

func (l *lines) keep(p []byte) {
	l.part = append(l.part, p[:min(len(p), maxLine-len(l.part))]...)
}

// firstLine sends an output's first line on a channel and passes the rest on.
type firstLine struct {
	first chan<- string
	rest  io.Writer
	part  []byte
	mu    sync.Mutex
	done  bool
}

func (f *firstLine) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return f.rest.Write(p)
	}
	n := len(p)
	i := bytes.IndexByte(p, '\n')
	if i < 0 {
		if f.part = append(f.part, p...); len(f.part) > maxLine {
			return 0, errTooMuch
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

// end says that no first line will come any more.
func (f *firstLine) end() {
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
)

// tail keeps the end of an output.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - tailBytes; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

func (t *tail) lines() []string {
	var out []string
	for l := range strings.Lines(string(t.b)) {
		if l = strings.TrimRight(l, "\r\n"); strings.TrimSpace(l) != "" {
			out = append(out, l[:min(len(l), 500)])
		}
	}
	return out[max(0, len(out)-tailLines):]
}
