package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operations"
)

// progress shows an operation while it runs: on a terminal a block that is drawn anew, elsewhere lines that are added.
type progress struct {
	w     io.Writer
	tty   bool
	title string
	began time.Time
	now   func() time.Time

	mu    sync.Mutex
	seen  operations.Progress
	drawn int // lines on the terminal that belong to the block
	frame int

	halt chan struct{}
	idle sync.WaitGroup
}

func (a *app) startProgress(title string, c *api.Cluster) *progress {
	p := &progress{w: canvas(a.env.Err), tty: isTerminal(a.env.Err), title: clean(title), now: a.env.Now, began: a.env.Now(), halt: make(chan struct{})}
	if c != nil {
		p.seen.Cluster = c
	}
	if !p.tty {
		fmt.Fprintln(p.w, p.title)
		return p
	}
	p.idle.Go(func() {
		t := time.NewTicker(tick)
		defer t.Stop()
		for {
			select {
			case <-p.halt:
				return
			case <-t.C:
				p.mu.Lock()
				p.frame++
				p.draw()
				p.mu.Unlock()
			}
		}
	})
	return p
}

// show takes up what is new.
func (p *progress) show(n operations.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.seen
	p.seen = n
	if p.tty {
		return // the next tick draws it
	}
	for _, l := range changeLines(old.Cluster, n.Cluster) {
		p.line(l)
	}
	if n.Notice != "" && n.Notice != old.Notice {
		p.line(n.Notice)
	}
}

// last is the cluster as it was seen last.
func (p *progress) last() *api.Cluster {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen.Cluster
}

// notice shows a sentence besides what is known of the cluster.
func (p *progress) notice(s string) {
	p.mu.Lock()
	n := operations.Progress{Cluster: p.seen.Cluster, Notice: s}
	p.mu.Unlock()
	p.show(n)
}

func (p *progress) line(s string) {
	fmt.Fprintf(p.w, "%6s  %s\n", span(p.now().Sub(p.began)), clean(s))
}

// draw replaces the block. It never takes more lines than the terminal has, nor lines that would wrap: the cursor could not
// find back.
func (p *progress) draw() {
	width, height := terminalSize(p.w)
	lines := []string{frame(p.frame) + " " + headline(p.seen.Cluster, p.title, p.now().Sub(p.began))}
	for _, l := range progressLines(p.seen.Cluster, p.now()) {
		lines = append(lines, "  "+l)
	}
	if p.seen.Notice != "" {
		lines = append(lines, "  "+p.seen.Notice)
	}
	lines = lines[:min(len(lines), max(height-1, 1))]
	var b strings.Builder
	p.rewind(&b)
	for _, l := range lines {
		b.WriteString(cut(clean(l), width-1) + "\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	p.drawn = len(lines)
	io.WriteString(p.w, b.String())
}

func (p *progress) rewind(b *strings.Builder) {
	if p.drawn > 0 {
		fmt.Fprintf(b, "\x1b[%dA\r", p.drawn)
	}
}

// cut shortens a line to a width in characters.
func cut(s string, width int) string {
	r := []rune(s)
	if len(r) <= width || width < 1 {
		return s
	}
	return string(r[:width-1]) + "…"
}

// stop ends the drawing; the block stays as it was drawn last.
func (p *progress) stop() {
	if !p.tty {
		return
	}
	close(p.halt)
	p.idle.Wait()
}

// end takes the block away for good.
func (p *progress) end() {
	if p.stop(); !p.tty {
		return
	}
	var b strings.Builder
	p.rewind(&b)
	b.WriteString("\x1b[J")
	io.WriteString(p.w, b.String())
	p.drawn = 0
}

func (p *progress) succeed() {
	p.end()
	fmt.Fprintf(p.w, "✔ %s completed successfully.\n", p.title)
}

func (p *progress) fail(err error) {
	p.end()
	(&status{w: p.w, title: p.title}).fail(err)
}
