package render

import "strings"

// FitHelp breaks the lines of a help page that are wider than width characters. Paragraphs are filled again; the
// descriptions behind names stay below each other; commands in examples go on behind a backslash.
func FitHelp(text string, width int) string {
	var b strings.Builder
	for _, block := range splitHelpBlocks(strings.Split(strings.TrimRight(text, "\n"), "\n")) {
		for _, l := range fitBlock(block, width) {
			b.WriteString(strings.TrimRight(l, " ") + "\n")
		}
	}
	return b.String()
}

// splitHelpBlocks separates the lines that can be filled again: a paragraph, a name with its description, or a command,
// of one or more lines, or any other single line.
func splitHelpBlocks(lines []string) [][]string {
	var blocks [][]string
	for _, l := range lines {
		if last := len(blocks) - 1; last >= 0 && continuesBlock(blocks[last], l) {
			blocks[last] = append(blocks[last], l)
		} else {
			blocks = append(blocks, []string{l})
		}
	}
	return blocks
}

// continuesBlock reports whether a line goes on with a block.
func continuesBlock(block []string, line string) bool {
	first, last := block[0], block[len(block)-1]
	switch indent := countIndent(line); {
	case first == "" || line == "":
		return false
	case strings.HasSuffix(last, continued):
		return true
	case countIndent(first) == 0:
		return indent == 0
	default:
		return indent > 0 && indent == findDescription(first)
	}
}

// continued ends a line of a command that goes on in the next.
const continued = ` \`

func countIndent(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// findDescription returns where the description behind a name begins in an indented line; 0 if there is none.
func findDescription(line string) int {
	name, rest, found := strings.Cut(strings.TrimLeft(line, " "), "  ")
	description := strings.TrimLeft(rest, " ")
	if !found || strings.HasPrefix(name, "#") || description == "" || strings.HasPrefix(description, "#") {
		return 0
	}
	return len(line) - len(description)
}

// fitBlock breaks the lines of a block if one is too wide.
func fitBlock(block []string, width int) []string {
	fits := true
	for _, l := range block {
		fits = fits && CellWidth(l) <= width
	}
	if fits {
		return block
	}
	first := block[0]
	if countIndent(first) == 0 {
		return breakLine("", "", "", strings.Fields(strings.Join(block, " ")), width)
	}
	if at := findDescription(first); at > 0 {
		words := strings.Fields(first[at:] + " " + strings.Join(block[1:], " "))
		if at < width*2/3 && at+findWidest(words) <= width {
			return breakLine(first[:at], strings.Repeat(" ", at), "", words, width)
		}
		indent := strings.Repeat(" ", countIndent(first)+4)
		return append([]string{first[:at]}, breakLine(indent, indent, "", words, width)...)
	}
	joined := strings.TrimSuffix(first, continued)
	for _, l := range block[1:] {
		joined += " " + strings.TrimLeft(strings.TrimSuffix(l, continued), " ")
	}
	return breakIndented(joined, width)
}

// findWidest returns the width of the widest word.
func findWidest(words []string) int {
	widest := 0
	for _, w := range words {
		widest = max(widest, CellWidth(w))
	}
	return widest
}

// breakIndented breaks a line that begins with blanks: a command of an example, its comment, or other text.
func breakIndented(line string, width int) []string {
	if CellWidth(line) <= width {
		return []string{line}
	}
	indent, content := line[:countIndent(line)], line[countIndent(line):]
	comment, isComment := strings.CutPrefix(content, "# ")
	command, remark, hasRemark := strings.Cut(content, " # ")
	switch {
	case isComment:
		return breakLine(indent+"# ", indent+"# ", "", strings.Fields(comment), width)
	case hasRemark:
		return append(breakIndented(indent+"# "+remark, width),
			breakIndented(indent+strings.TrimRight(command, " "), width)...)
	case strings.Contains(" "+content, " skyctl "):
		return breakLine(indent, indent+"  ", continued, joinPairs(SplitCommand(content)), width)
	}
	return breakLine(indent, indent+"  ", "", strings.Fields(content), width)
}

// SplitCommand separates the words of a command. Quoted text is one word: a backslash would change it.
func SplitCommand(line string) []string {
	var quote rune
	return strings.FieldsFunc(line, func(r rune) bool {
		switch {
		case quote == 0 && (r == '\'' || r == '"'):
			quote = r
		case r == quote:
			quote = 0
		}
		return r == ' ' && quote == 0
	})
}

// joinPairs joins the words of a command that are read together: a flag and its value, a redirection and its file.
func joinPairs(words []string) []string {
	var pairs []string
	for _, w := range words {
		last := len(pairs) - 1
		if last >= 0 && !strings.HasPrefix(w, "-") && !isOperator(w) && opensPair(pairs[last]) {
			pairs[last] += " " + w
		} else {
			pairs = append(pairs, w)
		}
	}
	return pairs
}

func isOperator(word string) bool { return word == "|" || word == ">" }

func opensPair(word string) bool {
	return isOperator(word) || strings.HasPrefix(word, "-") && word != "--" && !strings.ContainsAny(word, " =")
}

// breakLine breaks words into lines. first begins the first line and next the others; all but the last end in more.
func breakLine(first, next, more string, words []string, width int) []string {
	var lines []string
	line, empty := first, true
	for _, word := range words {
		if !empty && CellWidth(line)+1+CellWidth(word+more) > width {
			lines = append(lines, line+more)
			line, empty = next, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	return append(lines, line)
}
