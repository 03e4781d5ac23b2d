package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

const (
	frames   = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
	tick     = 100 * time.Millisecond
	eraseEOL = "\r\x1b[K"
)

func frame(i int) string {
	r := []rune(frames)
	return string(r[i%len(r)])
}

// status is the line that says what is going on: a spinner on a terminal, a plain line elsewhere, nothing where quiet.
type status struct {
	w     io.Writer
	title string
	tty   bool
	quiet bool

	mu   sync.Mutex // held while writing
	stop chan struct{}
	idle sync.WaitGroup
}

func startStatus(w io.Writer, title string, quiet bool) *status {
	s := &status{w: canvas(w), title: clean(title), tty: isTerminal(w), quiet: quiet}
	s.spin()
	return s
}

func (s *status) spin() {
	switch {
	case s.quiet:
	case !s.tty:
		fmt.Fprintln(s.w, s.title)
	default:
		s.stop = make(chan struct{})
		fmt.Fprintf(s.w, "%s %s", frame(0), s.title)
		s.idle.Go(func() {
			t := time.NewTicker(tick)
			defer t.Stop()
			for i := 1; ; i++ {
				select {
				case <-s.stop:
					return
				case <-t.C:
					s.mu.Lock()
					fmt.Fprintf(s.w, "\r%s %s", frame(i), s.title)
					s.mu.Unlock()
				}
			}
		})
	}
}

// halt ends the spinner; leave says what becomes of its line.
func (s *status) halt(leave string) {
	if s.stop == nil {
		return
	}
	close(s.stop)
	s.idle.Wait()
	s.stop = nil
	io.WriteString(s.w, leave)
}

// pause leaves the line as it is, so that data may follow below it.
func (s *status) pause() { s.halt("\n") }

// clear removes the line, so that something else may take its place.
func (s *status) clear() { s.halt(eraseEOL) }

// note adds a sentence and goes on.
func (s *status) note(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil {
		io.WriteString(s.w, eraseEOL)
	}
	fmt.Fprintln(s.w, clean(text))
}

func (s *status) succeed() {
	s.clear()
	if !s.quiet {
		fmt.Fprintf(s.w, "✔ %s completed successfully.\n", s.title)
	}
}

func (s *status) fail(err error) {
	s.clear()
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	fmt.Fprintf(s.w, "✗ %s failed: %s\n", s.title, clean(lines[0]))
	for _, l := range append(lines[1:], remedies(err)...) {
		fmt.Fprintf(s.w, "  %s\n", clean(l))
	}
}
