// Package render renders clusters, events, orphans and reports as text, JSON and YAML. It is pure.
package render

import (
	"strings"
	"unicode/utf8"

	"github.com/sky-shift/skyctl/pkg/printable"
)

const (
	// pageWidth is the width of a column of sentences.
	pageWidth = 76
	// maxReasonLines is where reasons are truncated.
	maxReasonLines = 2
)

// wrapSentence breaks a sentence at spaces into lines of at most pageWidth.
func wrapSentence(s string) Cell {
	var c Cell
	current := ""
	for _, word := range strings.Fields(printable.Line(s)) {
		if current != "" && utf8.RuneCountInString(current)+1+utf8.RuneCountInString(word) > pageWidth {
			c = append(c, current)
			current = ""
		}
		if current != "" {
			current += " "
		}
		current += word
	}
	if current != "" {
		c = append(c, current)
	}
	return c
}

func labelledLine(what, text string) string {
	if text == "" {
		return ""
	}
	return "  " + what + ": " + printable.Line(text)
}

// interleaveLines puts below[i] after lines[i], unless it is empty.
func interleaveLines(lines, below []string) []string {
	var all []string
	for i, l := range lines {
		all = append(all, l)
		if below[i] != "" {
			all = append(all, below[i])
		}
	}
	return all
}

// AlignColumns aligns columns, two spaces apart.
func AlignColumns(rows [][]string) []string {
	var w []int
	for _, row := range rows {
		for i := range row {
			row[i] = printable.Line(row[i])
			s := row[i]
			if i == len(w) {
				w = append(w, 0)
			}
			w[i] = max(w[i], utf8.RuneCountInString(s))
		}
	}
	lines := make([]string, len(rows))
	for r, row := range rows {
		var b strings.Builder
		for i, s := range row {
			b.WriteString(s)
			b.WriteString(strings.Repeat(" ", w[i]-utf8.RuneCountInString(s)+2))
		}
		lines[r] = strings.TrimRight(b.String(), " ")
	}
	return lines
}

// Table lays out cells of one or more lines below headings. A column is as wide as its widest line, and at least two
// wider than its heading. Columns are two spaces apart.
type Table struct {
	head []string
	rows [][]Cell
	// least are the minimum widths of the columns; it may be shorter than the heading.
	least []int
}

// Cell is the lines of one field of one row.
type Cell []string

func textCell(s string) Cell { return Cell{printable.Line(s)} }

// SetMinWidths sets the least width of the first columns: that of usual, and two more than the heading.
func (t *Table) SetMinWidths(usual ...int) {
	t.least = nil
	for i, w := range usual[:min(len(usual), len(t.head))] {
		t.least = append(t.least, max(w, len(t.head[i])+2))
	}
}

func (t *Table) addRow(row ...Cell) { t.rows = append(t.rows, row) }

func (t *Table) columnWidths() []int {
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

func (t *Table) String() string {
	w := t.columnWidths()
	var b strings.Builder
	writeRow(&b, w, 1, func(col, _ int) string { return t.head[col] })
	for _, row := range t.rows {
		t.writeCells(&b, w, row)
	}
	return b.String()
}

// RenderNextRow renders one more row below those that were printed. Columns keep their widths, and grow only if the row
// needs it.
func (t *Table) RenderNextRow(row ...Cell) string {
	t.least = t.columnWidths()
	t.rows = [][]Cell{row}
	var b strings.Builder
	t.writeCells(&b, t.columnWidths(), row)
	return b.String()
}

func (t *Table) writeCells(b *strings.Builder, w []int, row []Cell) {
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
