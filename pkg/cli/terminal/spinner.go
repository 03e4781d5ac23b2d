package terminal

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/printable"
)

const (
	SpinnerFrames = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
	FrameInterval = 100 * time.Millisecond
	EraseEOL      = "\r\x1b[K"
)

func spinnerFrame(i int) string {
	r := []rune(SpinnerFrames)
	return string(r[i%len(r)])
}

// Spinner shows what a command is doing: a spinner on a terminal, a plain line elsewhere, nothing if quiet.
type Spinner struct {
	w     io.Writer
	title string
	tty   bool
	quiet bool
	// rewrite changes the text of messages.
	rewrite rewriter

	mu   sync.Mutex // held while writing
	stop chan struct{}
	idle sync.WaitGroup
}

// StartSpinner prints title on w and keeps it spinning until one of the methods ends it.
func StartSpinner(w io.Writer, title string, quiet bool) *Spinner {
	s := &Spinner{w: rawWriter(w), title: printable.Line(title), tty: IsTerminal(w), quiet: quiet,
		rewrite: rewriterOf(w)}
	s.startSpinning()
	return s
}

func (s *Spinner) startSpinning() {
	switch {
	case s.quiet:
	case !s.tty:
		fmt.Fprintln(s.w, s.title)
	default:
		s.stop = make(chan struct{})
		fmt.Fprintf(s.w, "%s %s", spinnerFrame(0), s.title)
		s.idle.Go(func() {
			t := time.NewTicker(FrameInterval)
			defer t.Stop()
			for i := 1; ; i++ {
				select {
				case <-s.stop:
					return
				case <-t.C:
					s.mu.Lock()
					fmt.Fprintf(s.w, "\r%s %s", spinnerFrame(i), s.title)
					s.mu.Unlock()
				}
			}
		})
	}
}

// stopSpinning stops the spinner and writes leave.
func (s *Spinner) stopSpinning(leave string) {
	if s.stop == nil {
		return
	}
	close(s.stop)
	s.idle.Wait()
	s.stop = nil
	io.WriteString(s.w, leave)
}

// KeepLine keeps the line, so that data can follow below it.
func (s *Spinner) KeepLine() { s.stopSpinning("\n") }

// ClearLine removes the line.
func (s *Spinner) ClearLine() { s.stopSpinning(EraseEOL) }

// PrintNote prints a line and continues. It prints nothing if quiet.
func (s *Spinner) PrintNote(text string) {
	if s.quiet {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil {
		io.WriteString(s.w, EraseEOL)
	}
	width, _ := ReadWidth(s.w)
	fmt.Fprintln(s.w, render.FitNote(printable.Line(s.rewrite.apply(text)), width))
}

func (s *Spinner) ReportSuccess() {
	s.ClearLine()
	if !s.quiet {
		fmt.Fprintf(s.w, "✔ %s completed successfully.\n", s.title)
	}
}

// ReportFailure replaces the line with the error; hints are printed below it.
func (s *Spinner) ReportFailure(err error, hints ...string) {
	s.ClearLine()
	printFailure(s.w, s.title, s.rewrite.apply(err.Error()), s.rewrite.apply(strings.Join(hints, "\n")))
}

// printFailure prints what failed, and hints on lines of their own.
func printFailure(w io.Writer, title, why, hints string) {
	lines := strings.Split(strings.TrimSpace(why), "\n")
	fmt.Fprintf(w, "✗ %s failed: %s\n", title, printable.Line(lines[0]))
	if hints != "" {
		lines = append(lines, strings.Split(hints, "\n")...)
	}
	for _, l := range lines[1:] {
		fmt.Fprintf(w, "  %s\n", printable.Line(l))
	}
}
