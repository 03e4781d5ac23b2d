package terminal

import (
	"io"
	"unicode/utf8"

	"github.com/sky-shift/skyctl/pkg/printable"
)

// SanitizingWriter is how commands write: whatever they print, nothing of it steers or deceives the terminal that shows
// it. That holds for names that somebody put into etcd, and for what a machine or a cloud said.
type SanitizingWriter struct {
	To io.Writer
	// part is the beginning of a character whose rest is still to come.
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

// rawWriter is the stream itself behind a writer, for our own drawing.
func rawWriter(w io.Writer) io.Writer {
	if c, ok := w.(*SanitizingWriter); ok {
		return c.To
	}
	return w
}
