package terminal

import (
	"io"
	"unicode/utf8"

	"github.com/sky-shift/skyctl/pkg/printable"
)

// SanitizingWriter keeps printed text from steering or deceiving a terminal: names from etcd, and messages of machines
// and clouds, may contain control characters.
type SanitizingWriter struct {
	To io.Writer
	// Colored: statuses in tables have colours.
	Colored bool
	// part is an incomplete character.
	part string
}

func (w *SanitizingWriter) Write(p []byte) (int, error) {
	s := w.part + string(p)
	w.part = ""
	for n := 1; n < utf8.UTFMax && n <= len(s); n++ {
		if tail := s[len(s)-n:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRuneInString(tail) {
				s, w.part = s[:len(s)-n], tail
			}
			break
		}
	}
	if _, err := io.WriteString(w.To, printable.Stream(s)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// rawWriter returns the stream behind a SanitizingWriter, for drawing.
func rawWriter(w io.Writer) io.Writer {
	if c, ok := w.(*SanitizingWriter); ok {
		return c.To
	}
	return w
}
