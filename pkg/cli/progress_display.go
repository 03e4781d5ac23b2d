package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
)

// progressDisplay shows an operation while it runs: on a terminal a block that is drawn anew, elsewhere lines that are
// added.
type progressDisplay struct {
	w     io.Writer
	tty   bool
	title string
	began time.Time
	now   func() time.Time

	mu    sync.Mutex
	seen  client.Progress
	drawn int // lines on the terminal that belong to the block
	frame int

	halt chan struct{}
	idle sync.WaitGroup
}

func (a *app) startProgress(title string, c *api.Cluster) *progressDisplay {
	p := &progressDisplay{w: rawWriter(a.env.Err), tty: isTerminal(a.env.Err), title: sanitizeLine(title),
		now: a.env.Now, began: a.env.Now(), halt: make(chan struct{})}
	if c != nil {
		p.seen.Cluster = c
	}
	if !p.tty {
		fmt.Fprintln(p.w, p.title)
		return p
	}
	p.idle.Go(func() {
		t := time.NewTicker(frameInterval)
		defer t.Stop()
		for {
			select {
			case <-p.halt:
				return
			case <-t.C:
				p.mu.Lock()
				p.frame++
				p.drawBlock()
				p.mu.Unlock()
			}
		}
	})
	return p
}

// showUpdate takes up what is new.
func (p *progressDisplay) showUpdate(n client.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.seen
	p.seen = n
	if p.tty {
		return // the next tick draws it
	}
	for _, l := range changeLines(old.Cluster, n.Cluster) {
		p.printLine(l)
	}
	if n.Notice != "" && n.Notice != old.Notice {
		p.printLine(n.Notice)
	}
}

// lastCluster is the cluster as it was seen last.
func (p *progressDisplay) lastCluster() *api.Cluster {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen.Cluster
}

// showNotice shows a sentence besides what is known of the cluster.
func (p *progressDisplay) showNotice(s string) {
	p.mu.Lock()
	n := client.Progress{Cluster: p.seen.Cluster, Notice: s}
	p.mu.Unlock()
	p.showUpdate(n)
}

func (p *progressDisplay) printLine(s string) {
	fmt.Fprintf(p.w, "%6s  %s\n", formatDuration(p.now().Sub(p.began)), sanitizeLine(s))
}

// drawBlock replaces the block. It never takes more lines than the terminal has, nor lines that would wrap: the cursor
// could not find back.
func (p *progressDisplay) drawBlock() {
	width, height := terminalSize(p.w)
	lines := []string{spinnerFrame(p.frame) + " " + progressHeadline(p.seen.Cluster, p.title, p.now().Sub(p.began))}
	for _, l := range progressLines(p.seen.Cluster, p.now()) {
		lines = append(lines, "  "+l)
	}
	if p.seen.Notice != "" {
		lines = append(lines, "  "+p.seen.Notice)
	}
	lines = lines[:min(len(lines), max(height-1, 1))]
	var b strings.Builder
	p.rewindCursor(&b)
	for _, l := range lines {
		b.WriteString(truncateLine(sanitizeLine(l), width-1) + "\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	p.drawn = len(lines)
	io.WriteString(p.w, b.String())
}

func (p *progressDisplay) rewindCursor(b *strings.Builder) {
	if p.drawn > 0 {
		fmt.Fprintf(b, "\x1b[%dA\r", p.drawn)
	}
}

// truncateLine shortens a line to a width in characters.
func truncateLine(s string, width int) string {
	r := []rune(s)
	if len(r) <= width || width < 1 {
		return s
	}
	return string(r[:width-1]) + "…"
}

// stopDrawing ends the drawing; the block stays as it was drawn last.
func (p *progressDisplay) stopDrawing() {
	if !p.tty {
		return
	}
	close(p.halt)
	p.idle.Wait()
}

// eraseBlock takes the block away for good.
func (p *progressDisplay) eraseBlock() {
	if p.stopDrawing(); !p.tty {
		return
	}
	var b strings.Builder
	p.rewindCursor(&b)
	b.WriteString("\x1b[J")
	io.WriteString(p.w, b.String())
	p.drawn = 0
}

func (p *progressDisplay) reportSuccess() {
	p.eraseBlock()
	fmt.Fprintf(p.w, "✔ %s completed successfully.\n", p.title)
}

func (p *progressDisplay) reportFailure(err error) {
	p.eraseBlock()
	(&spinner{w: p.w, title: p.title}).reportFailure(err)
}
