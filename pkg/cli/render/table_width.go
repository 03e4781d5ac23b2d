package render

import "slices"

// columnGap is the number of blanks between two columns.
const columnGap = 2

// hiddenColumn is the width of a column that is left out.
const hiddenColumn = -1

// FitWidth makes the lines of the table at most that many cells wide: the widest cells are shortened, and columns on
// the right are left out if little would remain of each. Zero is no limit.
func (t *Table) FitWidth(width int) { t.limit = width }

// columnWidths returns the widths of the columns; hiddenColumn for those that are left out.
func (t *Table) columnWidths() []int {
	t.measureRows()
	wanted, needed, readable := make([]int, len(t.head)), make([]int, len(t.head)), make([]int, len(t.head))
	for i, h := range t.head {
		heading := CellWidth(h)
		needed[i] = max(heading, t.seen[i])
		readable[i] = max(heading, min(needed[i], 8))
		if t.isImportant(i) {
			readable[i] = max(heading, min(needed[i], 20))
		}
		wanted[i] = max(heading+2, t.seen[i])
		if i < len(t.least) {
			wanted[i] = max(wanted[i], t.least[i])
		}
	}
	t.shown = len(t.head)
	if t.limit == 0 {
		return wanted
	}
	t.hideColumns(readable)
	for i, w := range readable {
		if w == hiddenColumn {
			wanted[i] = hiddenColumn
		} else if totalWidth(readable[i+1:]) == 0 {
			wanted[i] = needed[i] // no blanks follow the last column
		}
	}
	// First go the blanks that only keep rows aligned, then the ends of the widest cells.
	for _, least := range [][]int{needed, readable, make([]int, len(t.head))} {
		shrinkWidest(wanted, least, t.limit)
	}
	return wanted
}

// hideColumns leaves out columns on the right that are not readable together with the others.
func (t *Table) hideColumns(readable []int) {
	for i := len(readable) - 1; i >= 0; i-- {
		if !t.isImportant(i) && totalWidth(readable) > t.limit {
			readable[i] = hiddenColumn
			t.shown--
		}
	}
}

// isImportant is true for what a person looks for: the name, the status, and what the table keeps.
func (t *Table) isImportant(column int) bool {
	return column == 0 || t.head[column] == statusHeading || slices.Contains(t.keep, t.head[column])
}

// measureRows notes the widths of the cells. They are kept, so that the rows of a watch stay aligned.
func (t *Table) measureRows() {
	if t.seen == nil {
		t.seen = make([]int, len(t.head))
	}
	for _, row := range t.rows {
		for i, c := range row {
			for _, l := range c {
				t.seen[i] = max(t.seen[i], CellWidth(l))
			}
		}
	}
}

// shrinkWidest takes from the widest columns until all fit, or all have their least width.
func shrinkWidest(w, least []int, limit int) {
	for excess := totalWidth(w) - limit; excess > 0; excess-- {
		widest := -1
		for i := range w {
			if w[i] > least[i] && (widest < 0 || w[i] >= w[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		w[widest]--
	}
}

// totalWidth is the width of the columns with the gaps between them.
func totalWidth(columns []int) int {
	total := 0
	for _, w := range columns {
		if w != hiddenColumn {
			total += w + columnGap
		}
	}
	return max(total-columnGap, 0)
}
