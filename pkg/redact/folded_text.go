package redact

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// foldedText is a text without the characters that may be inside a secret that is broken into lines: blanks, line
// breaks, and invisible characters. It maps the two base64 alphabets to one.
type foldedText struct {
	bytes []byte
	// from and to are the position of each byte in the text.
	from, to []int
}

func (f *foldedText) appendByte(b byte, from, to int) {
	switch b {
	case '-':
		b = '+'
	case '_':
		b = '/'
	}
	f.bytes, f.from, f.to = append(f.bytes, b), append(f.from, from), append(f.to, to)
}

func isFoldedRune(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Z, r)
}

// startsWithLineJoint reports whether a text starts with the separator that joins quoted lines into one.
func startsWithLineJoint(s string) bool { return strings.HasPrefix(s, "; ") }

// foldText folds a text without decoding escapes.
func foldText(s string) foldedText {
	f := foldedText{}
	for i, r := range s {
		n := utf8.RuneLen(r)
		if r == utf8.RuneError {
			n = 1
		}
		if isFoldedRune(r) || startsWithLineJoint(s[i:]) {
			continue
		}
		for k := range n {
			f.appendByte(s[i+k], i+k, i+k+1)
		}
	}
	return f
}

// foldEscapedText folds a text after decoding the escapes of URLs, JSON and Go.
func foldEscapedText(s string) foldedText {
	f := foldedText{}
	for i := 0; i < len(s); {
		plain, n := decodeEscape(s[i:])
		if n == 0 {
			plain, n = s[i:i+1], 1
			if r, size := utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError {
				plain, n = s[i:i+size], size
			}
		}
		if r, _ := utf8.DecodeRuneInString(plain); !isFoldedRune(r) && !startsWithLineJoint(s[i:]) {
			for k := range len(plain) {
				f.appendByte(plain[k], i, i+n)
			}
		}
		i += n
	}
	return f
}

// decodeEscape decodes an escape at the start of a text. It returns the characters and the length of the escape, which
// is 0 if there is none.
func decodeEscape(s string) (string, int) {
	switch {
	case len(s) >= 3 && s[0] == '%':
		if b, err := strconv.ParseUint(s[1:3], 16, 8); err == nil {
			return string([]byte{byte(b)}), 3
		}
	case len(s) >= 6 && strings.HasPrefix(s, `\u`):
		if r, err := strconv.ParseUint(s[2:6], 16, 16); err == nil {
			return string(rune(r)), 6 //nolint:gosec // it has 16 bits
		}
	case len(s) >= 4 && strings.HasPrefix(s, `\x`):
		if b, err := strconv.ParseUint(s[2:4], 16, 8); err == nil {
			return string([]byte{byte(b)}), 4
		}
	case len(s) >= 2 && s[0] == '\\' && strings.IndexByte(`nrt`, s[1]) >= 0:
		return " ", 2
	case len(s) >= 2 && s[0] == '\\' && strings.IndexByte(`\"'/`, s[1]) >= 0:
		return s[1:2], 2
	}
	return "", 0
}
