package render

import (
	"strings"

	"github.com/mattn/go-runewidth"
)

// cells measures text as terminals outside East Asian locales do: an ambiguous character, such as …, takes one cell.
var cells = runewidth.Condition{StrictEmojiNeutral: true}

// CellWidth is how many cells of a terminal a line takes: two for a wide character, none for a combining one.
func CellWidth(line string) int { return cells.StringWidth(line) }

// TruncateCells shortens a line to a width in cells. The last cell then is an ellipsis.
func TruncateCells(line string, width int) string {
	if width < 1 {
		return ""
	}
	return cells.Truncate(line, width, "…")
}

// padCells is the blanks that fill a line up to a width in cells.
func padCells(line string, width int) string {
	return strings.Repeat(" ", max(width-CellWidth(line), 0))
}
