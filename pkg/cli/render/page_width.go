package render

import (
	"slices"
	"strings"
)

// FitPage makes the lines of a page at most width cells wide: columns stay below each other, and their cells and all
// other lines are broken at blanks. If the columns do not fit side by side, those on the right are below the others. No
// word is shortened, so a longer one makes its line wider. Zero is no limit.
func FitPage(page string, width int) string {
	if width == 0 {
		return page
	}
	var b strings.Builder
	for _, block := range splitPageBlocks(strings.Split(strings.TrimSuffix(page, "\n"), "\n")) {
		for _, l := range fitPageBlock(block, width) {
			b.WriteString(strings.TrimRight(l, " ") + "\n")
		}
	}
	if !strings.HasSuffix(page, "\n") {
		return strings.TrimSuffix(b.String(), "\n")
	}
	return b.String()
}

// FitNote breaks a note at blanks into lines of at most width cells, but no command in it. Zero is no limit.
func FitNote(text string, width int) string {
	if width == 0 || CellWidth(text) <= width {
		return text
	}
	return strings.Join(breakLine("", "  ", "", joinCommands(strings.Fields(text), width-2), width), "\n")
}

// joinCommands joins the words of each command of skyctl in a sentence, so that it can be copied, up to a width.
func joinCommands(words []string, width int) []string {
	var all []string
	inCommand := false
	for _, w := range words {
		last := len(all) - 1
		inCommand = inCommand && CellWidth(all[last])+1+CellWidth(w) <= width
		if inCommand {
			all[last] += " " + w
		} else {
			all = append(all, w)
			inCommand = w == "skyctl"
		}
		inCommand = inCommand && !strings.ContainsAny(w[len(w)-1:], ".,:;)")
	}
	return all
}

// splitPageBlocks separates what has columns of its own: lines between titles and blank lines, from the first that is
// indented less.
func splitPageBlocks(lines []string) [][]string {
	var blocks [][]string
	begins := true
	for _, l := range lines {
		isTitle := l == "" || strings.HasSuffix(l, ":") && !strings.Contains(strings.TrimLeft(l, " "), "  ") &&
			countIndent(l) <= 2*columnGap
		last := len(blocks) - 1
		if begins || isTitle || countIndent(l) < countIndent(blocks[last][0]) {
			blocks = append(blocks, []string{l})
		} else {
			blocks[last] = append(blocks[last], l)
		}
		begins = isTitle
	}
	return blocks
}

func fitPageBlock(block []string, width int) []string {
	if !slices.ContainsFunc(block, func(l string) bool { return CellWidth(l) > width }) {
		return block
	}
	if c := findPageColumns(block); c != nil {
		return c.fit(width)
	}
	var lines []string
	for _, l := range block {
		lines = append(lines, fitPageLine(l, width)...)
	}
	return lines
}

// fitPageLine breaks one line that is in no columns. A command goes on behind a backslash.
func fitPageLine(line string, width int) []string {
	indent := strings.Repeat(" ", countIndent(line))
	switch at := findDescription(line); {
	case CellWidth(line) <= width:
		return []string{line}
	case strings.HasPrefix(line, indent+"skyctl "):
		return breakLine(indent, indent+"  ", continued, joinPairs(SplitCommand(line[len(indent):])), width)
	case at > 0 && CellWidth(line[:at]) < width*2/3:
		return breakLine(line[:at], strings.Repeat(" ", CellWidth(line[:at])), "", strings.Fields(line[at:]), width)
	case indent == "":
		return breakLine("", "", "", joinCommands(strings.Fields(line), width), width)
	}
	return breakLine(indent, indent+"  ", "", joinCommands(strings.Fields(line), width-len(indent)-2), width)
}

// pageLine is a line with the byte at which each of its cells begins.
type pageLine struct {
	text  string
	bytes []int
}

func newPageLine(text string) pageLine {
	l := pageLine{text: text}
	isASCII := CellWidth(text) == len(text)
	for i := range text {
		cell := i
		if !isASCII {
			cell = CellWidth(text[:i])
		}
		for len(l.bytes) <= cell {
			l.bytes = append(l.bytes, i)
		}
		l.bytes[cell] = i
	}
	return l
}

func (l pageLine) isBlank(cell int) bool { return cell >= len(l.bytes) || l.text[l.bytes[cell]] == ' ' }

// cut returns the text from a cell up to another, without blanks around it.
func (l pageLine) cut(from, to int) string {
	if from >= len(l.bytes) {
		return ""
	}
	end := len(l.text)
	if to < len(l.bytes) {
		end = l.bytes[to]
	}
	return strings.TrimSpace(l.text[l.bytes[from]:end])
}

// pageColumns are the rows of a block by their columns.
type pageColumns struct {
	indent int
	rows   [][]string
	// across are the lines across all columns, by their row, which has no cells.
	across map[int]string
}

// findPageColumns finds the columns of a block: at least two blanks are before each, in every row. It returns nil if
// there is only one.
func findPageColumns(block []string) *pageColumns {
	c := &pageColumns{indent: countIndent(block[0]), across: map[int]string{}}
	var all, base []pageLine
	cells := 0
	for _, text := range block {
		l := newPageLine(text)
		all = append(all, l)
		if countIndent(text) == c.indent {
			base = append(base, l)
		}
		cells = max(cells, len(l.bytes))
	}
	starts, blanks := []int{c.indent}, 0
	for cell := c.indent; cell < cells; cell++ {
		if areBlank(base, cell) {
			blanks++
			continue
		}
		if blanks >= columnGap {
			starts = append(starts, cell)
		}
		blanks = 0
	}
	if len(starts) == 1 {
		return nil
	}
	for _, l := range all {
		if !l.fitsColumns(starts) {
			c.across[len(c.rows)] = l.text
			c.rows = append(c.rows, nil)
			continue
		}
		c.addRow(l, starts)
	}
	return c
}

func areBlank(lines []pageLine, cell int) bool {
	return !slices.ContainsFunc(lines, func(l pageLine) bool { return !l.isBlank(cell) })
}

// fitsColumns reports whether a line has blanks before each column, and begins in one.
func (l pageLine) fitsColumns(starts []int) bool {
	for _, s := range starts[1:] {
		if !l.isBlank(s-1) || !l.isBlank(s-2) {
			return false
		}
	}
	return slices.Contains(starts, countIndent(l.text))
}

// addRow adds a line, or continues the sentence of the row before, if its last cell was broken by wrapSentence.
func (c *pageColumns) addRow(l pageLine, starts []int) {
	row := make([]string, len(starts))
	last := len(starts) - 1
	for i, s := range starts {
		end := len(l.bytes)
		if i < last {
			end = starts[i+1]
		}
		row[i] = l.cut(s, end)
	}
	continues := row[last] != "" && countIndent(l.text) == starts[last]
	if n := len(c.rows); continues && n > 0 && c.rows[n-1] != nil && c.rows[n-1][last] != "" {
		before, first := c.rows[n-1][last], strings.Fields(row[last])[0]
		lines := wrapSentence(before)
		if CellWidth(lines[len(lines)-1])+1+CellWidth(first) > pageWidth {
			c.rows[n-1][last] = before + " " + row[last]
			return
		}
	}
	c.rows = append(c.rows, row)
}

const (
	// belowIndent is the indentation of columns that are below others.
	belowIndent = 4
	// leastText is the least width of a text behind a label. Longer words of it are below the label.
	leastText = 20
)

// fit renders the rows within a width. Columns that do not fit side by side are in groups below each other.
func (c *pageColumns) fit(width int) []string {
	wanted, words := c.measureColumns()
	limit, last := width-c.indent, len(wanted)-1
	if last == 1 { // only the rows with a longer word are on two lines
		words[1] = min(words[1], max(limit-words[0]-columnGap, leastText))
	}
	ends := groupColumns(words, limit)
	if whole := groupColumns(wanted, limit); len(whole) == len(ends) {
		ends = whole
	}
	groups := c.newGroups(wanted, words, ends, width)
	var b strings.Builder
	for i, row := range c.rows {
		if row == nil {
			b.WriteString(strings.Join(fitPageLine(c.across[i], width), "\n") + "\n")
			continue
		}
		rowGroups := groups
		if len(groups) == 1 && findWidest(strings.Fields(row[last])) > groups[0].widths[last] {
			rowGroups = c.newGroups(wanted, words, []int{last, last + 1}, width)
		}
		for _, g := range rowGroups {
			g.writeCells(&b, row[g.from:g.from+len(g.widths)], width)
		}
	}
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}

// measureColumns returns the widths of the widest cells and of the widest words.
func (c *pageColumns) measureColumns() (cells, words []int) {
	for _, row := range c.rows {
		for i, cell := range row {
			if i == len(cells) {
				cells, words = append(cells, 0), append(words, 0)
			}
			cells[i] = max(cells[i], CellWidth(cell))
			words[i] = max(words[i], findWidest(strings.Fields(cell)))
		}
	}
	return cells, words
}

// groupColumns returns the ends of the groups of columns that fit side by side.
func groupColumns(widths []int, limit int) (ends []int) {
	from := 0
	for i := range widths {
		if i > from && totalWidth(widths[from:i+1]) > limit {
			ends = append(ends, i)
			if from == 0 {
				limit -= belowIndent
			}
			from = i
		}
	}
	return append(ends, len(widths))
}

// columnGroup are columns side by side.
type columnGroup struct {
	indent, from int
	widths       []int
}

// newGroups returns groups of columns by their ends. A width below that of the longest word is only in the last column.
func (c *pageColumns) newGroups(wanted, words, ends []int, width int) (groups []columnGroup) {
	g := columnGroup{indent: c.indent}
	for _, end := range ends {
		g.widths = slices.Clone(wanted[g.from:end])
		shrinkWidest(g.widths, words[g.from:end], width-g.indent)
		groups = append(groups, g)
		g.from, g.indent = end, c.indent+belowIndent
	}
	return groups
}

// writeCells writes the cells of a row, broken at blanks. Empty cells below others have no line.
func (g columnGroup) writeCells(b *strings.Builder, row []string, width int) {
	if g.from > 0 && strings.Join(row, "") == "" {
		return
	}
	cells, height := make([][]string, len(row)), 1
	for i, text := range row {
		cells[i] = breakLine("", "", "", strings.Fields(text), min(g.widths[i], width-g.indent))
		height = max(height, len(cells[i]))
	}
	widths, last := slices.Clone(g.widths), len(row)-1
	widths[last] = max(widths[last], findWidest(cells[last]))
	var lines strings.Builder
	writeRow(&lines, widths, height, func(col, line int) string {
		if line < len(cells[col]) {
			return cells[col][line]
		}
		return ""
	}, showPlain)
	for l := range strings.Lines(lines.String()) {
		b.WriteString(strings.Repeat(" ", g.indent) + l)
	}
}
