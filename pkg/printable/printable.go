// Package printable makes text that came from elsewhere (a machine, a cloud, an object in etcd) safe to show and to
// keep: it can no longer steer a terminal, hide a part of itself, or read in another order than it was written. It is
// pure.
package printable

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Line makes one line of a text. Terminal control sequences and control characters are dropped, tabs and line breaks of
// every kind become spaces, and characters that are invisible or that change the direction of writing are spelled out,
// such as \u202e: two names that differ look different.
func Line(s string) string { return sanitizeText(s, "") }

// Text is Line for a text whose line breaks are kept.
func Text(s string) string { return sanitizeText(s, "\n") }

// Stream is Text for output as it is written, piece by piece: its tabs are kept too. In JSON, what it spells out are
// the escapes of the same characters.
func Stream(s string) string { return sanitizeText(s, "\n\t") }

// Lines makes each of some lines printable.
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

// IsHarmless says that a character can be shown as it is, within a line.
func IsHarmless(r rune) bool { return r != utf8.RuneError && unicode.IsPrint(r) && !isBlankLetter(r) }

// isBlankLetter is true of the letters that show nothing (Hangul fillers).
func isBlankLetter(r rune) bool { return r == 0x115f || r == 0x1160 || r == 0x3164 || r == 0xffa0 }

// sanitizeText keeps those control characters that keep has.
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

// replacementFor is what stands for a character; raw are its bytes.
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
	// The C1 forms of the same, in UTF-8 (ECMA-48, 5.3).
	c1CSI, c1DCS, c1SOS, c1OSC, c1PM, c1APC, c1ST = "\u009b", "\u0090", "\u0098", "\u009d", "\u009e", "\u009f", "\u009c"
)

// controlSequenceLength is the length of the terminal control sequence that a text begins with; 0 where it begins with
// none.
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

// parametersLength is the length of what follows the introducer of a control sequence: parameters, intermediate signs,
// and a final letter or sign (ECMA-48, 5.4). What does not belong to one ends it.
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

// maxCommandString bounds a command string: one that never ends must not hide what follows it.
const maxCommandString = 4096

// commandStringLength is the length of a string up to and with its terminator: BEL, ESC \ or its C1 form. Without one,
// it ends with its line.
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

// escapeSequenceLength is the length of what belongs to a bare ESC: intermediate signs and a final one (ECMA-35, 13.2).
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
