package daemon

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// followInterval is how often a log that is followed is read.
const followInterval = 200 * time.Millisecond

// LogOptions say which lines of a log are wanted.
type LogOptions struct {
	// Follow waits for further lines until the context ends.
	Follow bool
	// Since is the oldest time; the zero time is the beginning.
	Since time.Time
	// Lines is how many of the existing lines are wanted at most, from the end; 0: all.
	Lines int
}

// WriteLog writes the lines of the log of a skyd dev in the background, those of the file that was moved aside first.
// The error wraps fs.ErrNotExist if there is no log.
func WriteLog(ctx context.Context, w io.Writer, name string, o LogOptions) error {
	f, err := regularfile.Open(name)
	if err != nil {
		return fmt.Errorf("reading skyd's log: %w", err)
	}
	defer func() { _ = f.Close() }() // only read from
	s := &logSelection{since: o.Since, lines: o.Lines}
	if old, err := regularfile.Open(name + ".old"); err == nil {
		_, err = s.readLines(bufio.NewReader(old))
		_ = old.Close()
		if err != nil {
			return fmt.Errorf("reading skyd's log: %w", err)
		}
	}
	r := bufio.NewReader(f)
	rest, err := s.readLines(r)
	if err != nil {
		return fmt.Errorf("reading skyd's log: %w", err)
	}
	if !o.Follow && rest != "" { // skyd is writing the line, or was killed while it did
		s.selectLine(rest + "\n")
	}
	if _, err := io.WriteString(w, strings.Join(s.selected, "")); err != nil || !o.Follow {
		return err
	}
	return followLog(ctx, w, f, r, rest)
}

// logSelection collects the lines that are wanted.
type logSelection struct {
	since    time.Time
	lines    int
	selected []string
	newer    bool // the last line with a time is not older than since
}

// readLines selects complete lines until the end of the file, and returns the incomplete one after them.
func (s *logSelection) readLines(r *bufio.Reader) (rest string, err error) {
	for {
		line, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return line, nil
		}
		if err != nil {
			return "", err
		}
		s.selectLine(line)
	}
}

// selectLine keeps a line if it is wanted. A line without a time belongs to the one before it.
func (s *logSelection) selectLine(line string) {
	if at, ok := parseLogTime(line); ok {
		s.newer = !at.Before(s.since)
	}
	if !s.since.IsZero() && !s.newer {
		return
	}
	s.selected = append(s.selected, line)
	if s.lines > 0 && len(s.selected) > s.lines {
		s.selected = s.selected[1:]
	}
}

// parseLogTime reads the time at the beginning of a line of slog's text format.
func parseLogTime(line string) (time.Time, bool) {
	text, found := strings.CutPrefix(line, "time=")
	if !found {
		return time.Time{}, false
	}
	text, _, _ = strings.Cut(text, " ")
	at, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(text))
	return at, err == nil
}

// followLog writes what is appended to a log, and continues with the next file when a start of skyd moves it aside.
func followLog(ctx context.Context, w io.Writer, f *os.File, r *bufio.Reader, rest string) error {
	name := f.Name()
	defer func() { _ = f.Close() }() // of the last file; closing the first one twice does no harm
	if _, err := io.WriteString(w, rest); err != nil {
		return err
	}
	for {
		if err := await.Pause(ctx, followInterval); err != nil {
			return err
		}
		var more bytes.Buffer
		if _, err := more.ReadFrom(r); err != nil {
			return fmt.Errorf("reading skyd's log: %w", err)
		}
		if _, err := w.Write(more.Bytes()); err != nil {
			return err
		}
		next, err := openNextLog(f, name)
		if err != nil {
			return fmt.Errorf("reading skyd's log: %w", err)
		}
		if next != nil {
			_ = f.Close()
			f, r = next, bufio.NewReader(next)
		}
	}
}

// openNextLog opens the file that has taken the name of a log, or returns nil if it is still the same one.
func openNextLog(f *os.File, name string) (*os.File, error) {
	now, err := os.Stat(name)
	if errors.Is(err, os.ErrNotExist) { // it is just being replaced
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	was, err := f.Stat()
	if err != nil || os.SameFile(was, now) {
		return nil, err
	}
	return regularfile.Open(name)
}
