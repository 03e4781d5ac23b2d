package render

import "strings"

// FitHelp breaks the lines of a help page that are wider than width characters. Paragraphs are filled again; the
// descriptions behind the names of commands stay below each other; commands in examples go on behind a backslash.
func FitHelp(text string, width int) string {
	var b strings.Builder
	var paragraph []string
	flush := func() {
		for _, l := range fillParagraph(paragraph, width) {
			b.WriteString(l + "\n")
		}
		paragraph = nil
	}
	for _, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if l != "" && !strings.HasPrefix(l, " ") {
			paragraph = append(paragraph, l)
			continue
		}
		flush()
		for _, part := range breakIndented(l, width) {
			b.WriteString(part + "\n")
		}
	}
	flush()
	return b.String()
}

// fillParagraph fills the lines of a paragraph again if one is too wide.
func fillParagraph(lines []string, width int) []string {
	for _, l := range lines {
		if CellWidth(l) > width {
			return breakLine("", "", "", strings.Join(lines, " "), width)
		}
	}
	return lines
}

// breakIndented breaks a line that begins with blanks: an example, a comment of one, or a name with its description.
func breakIndented(line string, width int) []string {
	if CellWidth(line) <= width {
		return []string{line}
	}
	content := strings.TrimLeft(line, " ")
	indent := line[:len(line)-len(content)]
	name, description, described := strings.Cut(content, "  ")
	description = strings.TrimLeft(description, " ")
	switch hanging := len(line) - len(description); {
	case strings.HasPrefix(content, "# "):
		return breakLine(indent+"# ", indent+"# ", "", content[2:], width)
	case strings.HasPrefix(content, "skyctl "):
		return breakLine(indent, indent+"  ", ` \`, content, width)
	case described && name != "" && hanging < width*2/3:
		return breakLine(line[:hanging], strings.Repeat(" ", hanging), "", description, width)
	}
	return breakLine(indent, indent+"  ", "", content, width)
}

// breakLine breaks text at blanks. first begins the first line and next the others; all but the last end in more.
func breakLine(first, next, more, text string, width int) []string {
	var lines []string
	line, empty := first, true
	for word := range strings.SplitSeq(text, " ") {
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
