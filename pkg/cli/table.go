package cli

import (
	"strings"
	"unicode/utf8"

	"github.com/sky-shift/skyctl/pkg/printable"
)

// table lays out cells of one or more lines below their headings. A column is as wide as its widest line, at least two
// more than its heading, and two spaces lie between columns.
type table struct {
	head []string
	rows [][]cell
	// least are widths that the columns have at least; none where it is shorter than the heading.
	least []int
}

// cell is the lines of one field of one row.
type cell []string

func textCell(s string) cell { return cell{printable.Line(s)} }

// setMinWidths sets the least width of the first columns: that of usual, and two more than the heading.
func (t *table) setMinWidths(usual ...int) {
	t.least = nil
	for i, w := range usual[:min(len(usual), len(t.head))] {
		t.least = append(t.least, max(w, len(t.head[i])+2))
	}
}

func (t *table) addRow(row ...cell) { t.rows = append(t.rows, row) }

func (t *table) columnWidths() []int {
	w := make([]int, len(t.head))
	for i, h := range t.head {
		w[i] = utf8.RuneCountInString(h) + 2
		if i < len(t.least) {
			w[i] = max(w[i], t.least[i])
		}
	}
	for _, row := range t.rows {
		for i, c := range row {
			for _, l := range c {
				w[i] = max(w[i], utf8.RuneCountInString(l))
			}
		}
	}
	return w
}

func (t *table) String() string {
	w := t.columnWidths()
	var b strings.Builder
	writeRow(&b, w, 1, func(col, _ int) string { return t.head[col] })
	for _, row := range t.rows {
		t.writeCells(&b, w, row)
	}
	return b.String()
}

// renderNextRow is the text of one more row below what was printed. Columns keep the widths they were printed with, and
// grow only where the row needs it.
func (t *table) renderNextRow(row ...cell) string {
	t.least = t.columnWidths()
	t.rows = [][]cell{row}
	var b strings.Builder
	t.writeCells(&b, t.columnWidths(), row)
	return b.String()
}

func (t *table) writeCells(b *strings.Builder, w []int, row []cell) {
	height := 1
	for _, c := range row {
		height = max(height, len(c))
	}
	writeRow(b, w, height, func(col, ln int) string {
		if ln < len(row[col]) {
			return row[col][ln]
		}
		return ""
	})
}

func writeRow(b *strings.Builder, w []int, height int, text func(col, line int) string) {
	for ln := range height {
		blanks := 0 // kept back, so that no line ends in spaces
		for col := range w {
			s := text(col, ln)
			if s != "" {
				b.WriteString(strings.Repeat(" ", blanks))
				b.WriteString(s)
				blanks = 0
			}
			blanks += w[col] - utf8.RuneCountInString(s) + 2
		}
		b.WriteByte('\n')
	}
}
