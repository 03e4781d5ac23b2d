package cli

import (
	"strings"
)

// clean keeps what came from elsewhere from steering the terminal: colours and other control sequences go, breaks and tabs
// become spaces.
func clean(s string) string {
	if strings.IndexFunc(s, control) < 0 {
		return s
	}
	var b strings.Builder
	for i, r := 0, []rune(s); i < len(r); i++ {
		switch {
		case r[i] == '\x1b' && i+1 < len(r) && r[i+1] == '[':
			// A control sequence ends with a letter or one of a few signs (ECMA-48, 5.4).
			for i += 2; i < len(r) && (r[i] < 0x40 || r[i] > 0x7e); i++ {
			}
		case r[i] == '\t', r[i] == '\n':
			b.WriteByte(' ')
		case !control(r[i]):
			b.WriteRune(r[i])
		}
	}
	return b.String()
}

func control(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 }
