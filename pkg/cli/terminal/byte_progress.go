package terminal

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// ByteProgress shows on a terminal how much of a transfer is done; elsewhere it shows nothing.
type ByteProgress struct {
	w     io.Writer
	title string
	tty   bool

	mu    sync.Mutex
	shown time.Time
}

// NewByteProgress returns the progress of a transfer.
func NewByteProgress(w io.Writer, title string) *ByteProgress {
	return &ByteProgress{w: rawWriter(w), title: printable.Line(title), tty: IsTerminal(w)}
}

// ShowBytes redraws the line, at most ten times per second. total is 0 if it is unknown.
func (p *ByteProgress) ShowBytes(done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.tty || time.Since(p.shown) < FrameInterval {
		return
	}
	p.shown = time.Now()
	line := fmt.Sprintf("%s: %s", p.title, formatBytes(done))
	if total > 0 {
		line += fmt.Sprintf(" of %s (%d %%)", formatBytes(total), min(100, 100*done/total))
	}
	width, _ := readSize(p.w)
	fmt.Fprint(p.w, EraseEOL+render.TruncateCells(line, width-1))
}

// ClearLine removes the line.
func (p *ByteProgress) ClearLine() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.shown.IsZero() {
		fmt.Fprint(p.w, EraseEOL)
	}
}

func formatBytes(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d KiB", n>>10)
}
