package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// progressDisplay shows an operation while it runs: on a terminal a block that is drawn anew, elsewhere lines that are
// added.
type progressDisplay struct {
	w     io.Writer
	tty   bool
	title string
	began time.Time
	now   func() time.Time

	mu sync.Mutex
	// cluster and notice are what was seen last.
	cluster *api.Cluster
	notice  string
	drawn   int // lines on the terminal that belong to the block
	frame   int

	halt chan struct{}
	idle sync.WaitGroup
}

// startProgress shows an operation on c, which may be nil, until one of the methods ends it.
func startProgress(w io.Writer, now func() time.Time, title string, c *api.Cluster) *progressDisplay {
	p := &progressDisplay{w: rawWriter(w), tty: isTerminal(w), title: printable.Line(title), now: now, began: now(),
		cluster: c, halt: make(chan struct{})}
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

// showUpdate shows the cluster as it is now, with a sentence besides, which may be empty.
func (p *progressDisplay) showUpdate(c *api.Cluster, notice string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, noticeBefore := p.cluster, p.notice
	p.cluster, p.notice = c, notice
	if p.tty {
		return // the next tick draws it
	}
	for _, l := range changeLines(before, c) {
		p.printLine(l)
	}
	if notice != "" && notice != noticeBefore {
		p.printLine(notice)
	}
}

// lastCluster is the cluster as it was seen last.
func (p *progressDisplay) lastCluster() *api.Cluster {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cluster
}

// showNotice shows a sentence besides what is known of the cluster.
func (p *progressDisplay) showNotice(s string) {
	p.showUpdate(p.lastCluster(), s)
}

func (p *progressDisplay) printLine(s string) {
	fmt.Fprintf(p.w, "%6s  %s\n", formatDuration(p.elapsed()), printable.Line(s))
}

// drawBlock replaces the block. It never takes more lines than the terminal has, nor lines that would wrap: the cursor
// could not find back.
func (p *progressDisplay) drawBlock() {
	width, height := terminalSize(p.w)
	lines := []string{spinnerFrame(p.frame) + " " + progressHeadline(p.cluster, p.title, p.elapsed())}
	for _, l := range progressLines(p.cluster, p.now()) {
		lines = append(lines, "  "+l)
	}
	if p.notice != "" {
		lines = append(lines, "  "+p.notice)
	}
	lines = lines[:min(len(lines), max(height-1, 1))]
	var b strings.Builder
	p.rewindCursor(&b)
	for _, l := range lines {
		b.WriteString(truncateLine(printable.Line(l), width-1) + "\x1b[K\n")
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

// reportFailure replaces the block with what failed, and why; hints say what can be done about it.
func (p *progressDisplay) reportFailure(err error, hints ...string) {
	p.eraseBlock()
	printFailure(p.w, p.title, err, hints)
}

// elapsed is how long the operation has been shown.
func (p *progressDisplay) elapsed() time.Duration { return p.now().Sub(p.began) }
