package terminal

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// ProgressDisplay shows a running operation: on a terminal as a block that is redrawn, elsewhere as a log.
type ProgressDisplay struct {
	w     io.Writer
	tty   bool
	quiet bool
	title string
	began time.Time
	now   func() time.Time
	// rewrite changes the text of messages.
	rewrite rewriter

	mu sync.Mutex
	// cluster and notice are what was seen last.
	cluster  *api.Cluster
	notice   string
	estimate api.CreateEstimate
	drawn    int // lines on the terminal that belong to the block
	frame    int

	halt chan struct{}
	idle sync.WaitGroup
}

// StartProgress shows an operation on c, which may be nil, until one of the methods ends it.
func StartProgress(w io.Writer, now func() time.Time, title string, c *api.Cluster) *ProgressDisplay {
	p := &ProgressDisplay{w: rawWriter(w), tty: IsTerminal(w), title: printable.Line(title), now: now, began: now(),
		cluster: c, halt: make(chan struct{}), rewrite: rewriterOf(w)}
	if !p.tty {
		fmt.Fprintln(p.w, p.title)
		return p
	}
	p.idle.Go(func() {
		t := time.NewTicker(FrameInterval)
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

// StartQuietProgress is StartProgress that shows only a failure.
func StartQuietProgress(w io.Writer, now func() time.Time, title string, c *api.Cluster) *ProgressDisplay {
	return &ProgressDisplay{w: rawWriter(w), title: printable.Line(title), now: now, began: now(), cluster: c,
		quiet: true, rewrite: rewriterOf(w)}
}

// ShowUpdate shows the current state of the cluster, and a notice, which may be empty.
func (p *ProgressDisplay) ShowUpdate(c *api.Cluster, notice string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, noticeBefore := p.cluster, p.notice
	p.cluster, p.notice = c, notice
	if p.tty || p.quiet {
		return // the next tick draws it, or nothing does
	}
	for _, l := range render.ChangeLines(before, c) {
		p.printLine(l)
	}
	if notice != "" && notice != noticeBefore {
		p.printLine(notice)
	}
}

// ShowEstimate shows how long the create takes. began is when it was accepted, which may be before this display.
func (p *ProgressDisplay) ShowEstimate(e api.CreateEstimate, began time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.estimate = e; !began.IsZero() && began.Before(p.began) {
		p.began = began
	}
	if left := render.FormatTimeLeft(e, p.Elapsed()); left != "" && !p.tty && !p.quiet {
		p.printLine(left)
	}
}

// LastCluster is the cluster of the last update.
func (p *ProgressDisplay) LastCluster() *api.Cluster {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cluster
}

// ShowNotice shows a notice with the last state of the cluster.
func (p *ProgressDisplay) ShowNotice(s string) {
	p.ShowUpdate(p.LastCluster(), s)
}

func (p *ProgressDisplay) printLine(s string) {
	fmt.Fprintf(p.w, "%6s  %s\n", render.FormatDuration(p.Elapsed()), printable.Line(p.rewrite.apply(s)))
}

// drawBlock redraws the block. It fits the terminal, because the cursor cannot move back over wrapped or scrolled
// lines.
func (p *ProgressDisplay) drawBlock() {
	width, height := readSize(p.w)
	head := spinnerFrame(p.frame) + " " + render.ProgressHeadline(p.cluster, p.title, p.Elapsed())
	if left := render.FormatTimeLeft(p.estimate, p.Elapsed()); left != "" {
		head += ", " + left
	}
	lines := []string{head}
	for _, l := range render.ProgressLines(p.cluster, p.now()) {
		lines = append(lines, "  "+l)
	}
	if p.notice != "" {
		lines = append(lines, "  "+p.notice)
	}
	lines = lines[:min(len(lines), max(height-1, 1))]
	var b strings.Builder
	p.rewindCursor(&b)
	for _, l := range lines {
		b.WriteString(render.TruncateCells(printable.Line(p.rewrite.apply(l)), width-1) + "\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	p.drawn = len(lines)
	io.WriteString(p.w, b.String())
}

func (p *ProgressDisplay) rewindCursor(b *strings.Builder) {
	if p.drawn > 0 {
		fmt.Fprintf(b, "\x1b[%dA\r", p.drawn)
	}
}

// StopDrawing stops redrawing; the last block stays.
func (p *ProgressDisplay) StopDrawing() {
	if !p.tty {
		return
	}
	close(p.halt)
	p.idle.Wait()
}

// eraseBlock stops redrawing and removes the block.
func (p *ProgressDisplay) eraseBlock() {
	if p.StopDrawing(); !p.tty {
		return
	}
	var b strings.Builder
	p.rewindCursor(&b)
	b.WriteString("\x1b[J")
	io.WriteString(p.w, b.String())
	p.drawn = 0
}

func (p *ProgressDisplay) ReportSuccess() {
	p.eraseBlock()
	if p.quiet {
		return
	}
	fmt.Fprintf(p.w, "✔ %s completed successfully.\n", p.title)
}

// ReportFailure replaces the block with the error; hints are printed below it.
func (p *ProgressDisplay) ReportFailure(err error, hints ...string) {
	p.eraseBlock()
	printFailure(p.w, p.title, p.rewrite.apply(err.Error()), p.rewrite.apply(strings.Join(hints, "\n")))
}

// Elapsed is how long the operation has been shown.
func (p *ProgressDisplay) Elapsed() time.Duration { return p.now().Sub(p.began) }
