// Package render renders clusters, events, orphans and reports as text, JSON and YAML. It is pure.
package render

import (
	"strings"

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
		if current != "" && CellWidth(current)+1+CellWidth(word) > pageWidth {
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
			w[i] = max(w[i], CellWidth(s))
		}
	}
	lines := make([]string, len(rows))
	for r, row := range rows {
		var b strings.Builder
		for i, s := range row {
			b.WriteString(s + padCells(s, w[i]+columnGap))
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
	// hideHead: the headings are not printed.
	hideHead bool
	// limit of a line, in cells; zero if there is none.
	limit int
	// keep are the headings of columns that are shown however narrow the terminal is, beside the name and the status.
	keep []string
	// isColored: statuses have colours.
	isColored bool
	// seen are the widths of the widest cells that were shown so far.
	seen []int
	// shown is the number of columns that were shown last.
	shown int
}

// ColorStatuses makes the table colour the statuses, with escape sequences. All other text in it is printable.
func (t *Table) ColorStatuses() { t.isColored = true }

// HideHeadings makes the table print its rows only, in columns as wide as with the headings.
func (t *Table) HideHeadings() { t.hideHead = true }

// ReorderRows puts the rows into another order: order has the number of each row.
func (t *Table) ReorderRows(order []int) {
	rows := make([][]Cell, 0, len(order))
	for _, i := range order {
		rows = append(rows, t.rows[i])
	}
	t.rows = rows
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

func (t *Table) addRow(row ...Cell) { t.rows = append(t.rows, sanitizeRow(row)) }

// sanitizeRow makes each line of a row printable, so that its width is that of what is shown.
func sanitizeRow(row []Cell) []Cell {
	for i := range row {
		row[i] = printable.Lines(row[i])
	}
	return row
}

func (t *Table) String() string {
	w := t.columnWidths()
	var b strings.Builder
	t.writeHeadings(&b, w)
	for _, row := range t.rows {
		t.writeCells(&b, w, row)
	}
	return b.String()
}

// RenderNextRow renders one more row below those that were printed. Columns keep their widths, and grow only if the row
// needs it. The headings are repeated if the terminal has become so narrow or wide that other columns are shown.
func (t *Table) RenderNextRow(row ...Cell) string {
	t.measureRows()
	t.rows = [][]Cell{sanitizeRow(row)}
	var b strings.Builder
	columns := t.shown
	w := t.columnWidths()
	if t.shown != columns {
		t.writeHeadings(&b, w)
	}
	t.writeCells(&b, w, row)
	return b.String()
}

func (t *Table) writeHeadings(b *strings.Builder, w []int) {
	if !t.hideHead {
		writeRow(b, w, 1, func(col, _ int) string { return t.head[col] }, showPlain)
	}
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
	}, t.paintCell)
}

// paintCell colours what is shown of a line of a cell.
func (t *Table) paintCell(column int, line, shown string) string {
	if !t.isColored || t.head[column] != statusHeading {
		return shown
	}
	return paintStatus(line, shown)
}

func showPlain(_ int, _, shown string) string { return shown }

// writeRow writes the lines of a row. paint adds what takes no cells to the part of a line that is shown.
func writeRow(b *strings.Builder, w []int, height int, text func(col, line int) string,
	paint func(col int, line, shown string) string) {
	for ln := range height {
		blanks := 0 // kept back, so that no line ends in spaces
		for col := range w {
			if w[col] == hiddenColumn {
				continue
			}
			whole := text(col, ln)
			s := TruncateCells(whole, w[col])
			if s != "" {
				b.WriteString(strings.Repeat(" ", blanks))
				b.WriteString(paint(col, whole, s))
				blanks = 0
			}
			blanks += w[col] - CellWidth(s) + columnGap
		}
		b.WriteByte('\n')
	}
}
