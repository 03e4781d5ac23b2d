// Package printable makes text from outside (a machine, a cloud, an object in etcd) safe to show and to store: it
// cannot control a terminal, hide a part of itself, or change its reading order. The package is pure.
package printable

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Line turns a text into one line. It drops terminal control sequences and control characters, replaces tabs and all
// line breaks with spaces, and escapes characters that are invisible or change the writing direction, such as \u202e,
// so that different names look different.
func Line(s string) string { return sanitizeText(s, "") }

// Text is Line, but keeps line breaks.
func Text(s string) string { return sanitizeText(s, "\n") }

// Stream is Text for output that is written in pieces; it also keeps tabs. Its escapes are valid in JSON.
func Stream(s string) string { return sanitizeText(s, "\n\t") }

// Lines applies Line to each line.
func Lines(lines []string) []string {
	if lines == nil {
		return nil
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = Line(l)
	}
	return out
}

// IsHarmless reports whether a character can be shown unchanged within a line.
func IsHarmless(r rune) bool { return r != utf8.RuneError && unicode.IsPrint(r) && !isBlankLetter(r) }

// isBlankLetter reports whether a letter is invisible (Hangul fillers).
func isBlankLetter(r rune) bool { return r == 0x115f || r == 0x1160 || r == 0x3164 || r == 0xffa0 }

// sanitizeText keeps the control characters in keep.
func sanitizeText(s, keep string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !IsHarmless(r) && !strings.ContainsRune(keep, r) }) < 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		if n := controlSequenceLength(s); n > 0 {
			s = s[n:]
			continue
		}
		r, size := utf8.DecodeRuneInString(s)
		b.WriteString(replacementFor(r, s[:size], keep))
		s = s[size:]
	}
	return b.String()
}

// replacementFor returns the replacement of a character; raw are its bytes.
func replacementFor(r rune, raw, keep string) string {
	switch {
	case r == utf8.RuneError:
		return "\ufffd"
	case IsHarmless(r), strings.ContainsRune(keep, r):
		return raw
	case r == '\r' && keep != "":
		return ""
	case unicode.IsSpace(r), unicode.Is(unicode.Z, r):
		return " "
	case unicode.IsControl(r):
		return ""
	case r > 0xffff:
		high, low := utf16.EncodeRune(r)
		return fmt.Sprintf(`\u%04x\u%04x`, high, low)
	default:
		return fmt.Sprintf(`\u%04x`, r)
	}
}

const (
	esc = "\x1b"
	// The C1 control characters in UTF-8 (ECMA-48, 5.3).
	c1CSI, c1DCS, c1SOS, c1OSC, c1PM, c1APC, c1ST = "\u009b", "\u0090", "\u0098", "\u009d", "\u009e", "\u009f", "\u009c"
)

// controlSequenceLength returns the length of the terminal control sequence at the start of a text, or 0.
func controlSequenceLength(s string) int {
	for _, intro := range []string{esc + "[", c1CSI} {
		if strings.HasPrefix(s, intro) {
			return len(intro) + parametersLength(s[len(intro):])
		}
	}
	for _, intro := range []string{esc + "]", esc + "P", esc + "X", esc + "^", esc + "_", c1DCS, c1SOS, c1OSC, c1PM,
		c1APC} {
		if strings.HasPrefix(s, intro) {
			return len(intro) + commandStringLength(s[len(intro):])
		}
	}
	if strings.HasPrefix(s, esc) {
		return len(esc) + escapeSequenceLength(s[len(esc):])
	}
	return 0
}

// parametersLength returns the length of the rest of a control sequence after its introducer: parameter, intermediate
// and final bytes (ECMA-48, 5.4). Any other byte ends it.
func parametersLength(s string) int {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 0x40 && c <= 0x7e:
			return i + 1
		case c < 0x20 || c > 0x3f:
			return i
		}
	}
	return len(s)
}

// maxCommandString bounds a command string: an unterminated one must not hide the text that follows.
const maxCommandString = 4096

// commandStringLength returns the length of a command string including its terminator: BEL, ESC \ or its C1 form.
// Without a terminator it ends at the end of the line.
func commandStringLength(s string) int {
	for i := range min(len(s), maxCommandString) {
		switch {
		case s[i] == '\n':
			return i
		case s[i] == '\a':
			return i + 1
		case strings.HasPrefix(s[i:], esc+`\`), strings.HasPrefix(s[i:], c1ST):
			return i + 2
		}
	}
	if len(s) > maxCommandString {
		return 0
	}
	return len(s)
}

// escapeSequenceLength returns the length of an escape sequence after ESC: intermediate and final bytes (ECMA-35,
// 13.2).
func escapeSequenceLength(s string) int {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 0x30 && c <= 0x7e:
			return i + 1
		case c < 0x20 || c > 0x2f:
			return i
		}
	}
	return len(s)
}
