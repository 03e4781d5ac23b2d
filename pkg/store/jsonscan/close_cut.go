package jsonscan

import (
	"slices"
	"strings"
)

// CloseCut completes a JSON object that was cut off: it removes an incomplete member at the end and closes what is
// open.
func CloseCut(cut []byte) []byte {
	var open []byte    // closing brackets of the open objects and arrays
	var complete int   // length of the text that ends with a complete value
	var closers []byte // closing brackets of that text
	keep := func(end int) { complete, closers = end, slices.Clone(open) }
	afterName := false // the next value belongs to a name
	inObject := func() bool { return len(open) > 0 && open[len(open)-1] == '}' }
	for i := 0; i < len(cut); i++ {
		switch b := cut[i]; b {
		case ' ', '\t', '\n', '\r', ',':
		case ':':
			afterName = true
		case '{', '[':
			open, afterName = append(open, map[byte]byte{'{': '}', '[': ']'}[b]), false
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
			if !inObject() || afterName {
				keep(i + 1)
			}
			afterName = false
		default: // a number or a word, which is complete only if another character follows
			end := i
			for end < len(cut) && !strings.ContainsRune(" \t\r\n,:{}[]\"", rune(cut[end])) {
				end++
			}
			if end < len(cut) {
				keep(end)
			}
			i, afterName = end-1, false
		}
	}
	slices.Reverse(closers)
	return append(slices.Clone(cut[:complete]), closers...)
}
