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
	// Rewrite changes the text of messages; nil leaves it.
	Rewrite func(string) string
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
	if _, err := io.WriteString(w.To, printable.Stream(rewriterOf(w).apply(s))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// WithoutRewrite returns a writer for text that is no message of skyctl: it is written as it is, but sanitized.
func WithoutRewrite(w io.Writer) io.Writer {
	if c, ok := w.(*SanitizingWriter); ok {
		return &SanitizingWriter{To: c.To, Colored: c.Colored}
	}
	return w
}

// rewriter changes the text of messages; nil leaves it.
type rewriter func(string) string

func (r rewriter) apply(text string) string {
	if r == nil {
		return text
	}
	return r(text)
}

// rewriterOf returns what changes the text of messages for a writer.
func rewriterOf(w io.Writer) rewriter {
	if c, ok := w.(*SanitizingWriter); ok {
		return c.Rewrite
	}
	return nil
}

// rawWriter returns the stream behind a SanitizingWriter, for drawing.
func rawWriter(w io.Writer) io.Writer {
	if c, ok := w.(*SanitizingWriter); ok {
		return c.To
	}
	return w
}
