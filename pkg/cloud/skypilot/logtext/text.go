// Package logtext reads what SkyPilot prints for a terminal as plain text.
package logtext

import (
	"bufio"
	"io"
	"regexp"
	"strings"
	"sync"
)

// terminalEscapes are a text's instructions to a terminal: colours, cursor movements and titles.
var terminalEscapes = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]|\x1b\\][^\a\x1b]*(\a|\x1b\\\\)|" +
	"\x1b[^\\[\\]]|[\x00-\x08\x0b-\x1f\x7f]")

// StripEscapes removes instructions to a terminal.
func StripEscapes(s string) string { return terminalEscapes.ReplaceAllString(s, "") }

// Shorten cuts a text to a length that suits an error.
func Shorten(s string) string {
	const limit = 600
	if len(s) > limit {
		return s[:limit] + "…"
	}
	return s
}

// ForEachLine calls onLine for each line of a log that is not blank. The server pads some lines with thousands of
// spaces.
func ForEachLine(r io.Reader, onLine func(string)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), 4<<20)
	for lines.Scan() {
		if s := strings.TrimSpace(StripEscapes(lines.Text())); s != "" && !strings.HasPrefix(s, "<sky-payload") {
			onLine(s)
		}
	}
	return lines.Err()
}

// Tail keeps the end of what is written to it. The zero value is ready for use.
type Tail struct {
	mu   sync.Mutex
	data []byte
}

func (t *Tail) Write(p []byte) (int, error) {
	const limit = 4 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, p...)
	if extra := len(t.data) - limit; extra > 0 {
		t.data = append([]byte(nil), t.data[extra:]...)
	}
	return len(p), nil
}

func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(StripEscapes(string(t.data)))
}

// LastLines keeps the last lines of a log: at least a thousand. The zero value is ready for use.
type LastLines struct {
	mu    sync.Mutex
	lines []string
}

// Add adds a line.
func (l *LastLines) Add(line string) {
	const limit = 2000
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	if len(l.lines) > limit {
		l.lines = append([]string(nil), l.lines[limit/2:]...)
	}
}

// All returns the lines.
func (l *LastLines) All() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}
