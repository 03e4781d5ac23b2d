package jsonscan

import (
	"slices"
	"strings"
)

// CloseCut makes an object of one that was cut: what was begun and has no end is left out, and what is open is
// closed.
func CloseCut(cut []byte) []byte {
	var open []byte     // the ends of what is open
	var whole, ends int // up to where it is whole, and how much of open that leaves
	var closers []byte
	keep := func(end int) { whole, ends, closers = end, len(open), slices.Clone(open) }
	named := false // the next value belongs to a name
	inObject := func() bool { return len(open) > 0 && open[len(open)-1] == '}' }
	for i := 0; i < len(cut); i++ {
		switch b := cut[i]; b {
		case ' ', '\t', '\n', '\r', ',':
		case ':':
			named = true
		case '{', '[':
			open, named = append(open, map[byte]byte{'{': '}', '[': ']'}[b]), false
			keep(i + 1)
		case '}', ']':
			if len(open) > 0 {
				open = open[:len(open)-1]
			}
			keep(i + 1)
		case '"':
			n := stringLength(cut[i:])
			if n < 0 {
				i = len(cut)
				break
			}
			i += n - 1
			if !inObject() || named {
				keep(i + 1)
			}
			named = false
		default: // a number or a word, which is whole only where something follows it
			end := i
			for end < len(cut) && !strings.ContainsRune(" \t\r\n,:{}[]\"", rune(cut[end])) {
				end++
			}
			if end < len(cut) {
				keep(end)
			}
			i, named = end-1, false
		}
	}
	out := slices.Clone(cut[:whole])
	for ends > 0 {
		ends--
		out = append(out, closers[ends])
	}
	return out
}
