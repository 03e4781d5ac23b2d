package main

import (
	"fmt"
	"slices"
	"strings"
)

const heading = `# Third-party software

skyctl is under the Apache License 2.0. Its programs contain the software below, under the licenses whose texts follow
the table. The source of a module is at https://proxy.golang.org/MODULE/@v/VERSION.zip, and that of Go at
https://go.dev/dl.

| module | version | license | texts |
|---|---|---|---|
`

// renderNotices returns the document: a table of the modules, then each text once.
func renderNotices(modules []module) string {
	var table, texts strings.Builder
	numbers := map[string]int{}
	for _, m := range modules {
		var kinds, refers []string
		for _, l := range m.licenses {
			text := strings.TrimSpace(strings.ReplaceAll(l.text, "\r\n", "\n"))
			if numbers[text] == 0 {
				numbers[text] = len(numbers) + 1
				fmt.Fprintf(&texts, "\n## Text %d\n\n%s\n", numbers[text], indent(text))
			}
			if l.kind != "" && !slices.Contains(kinds, l.kind) {
				kinds = append(kinds, l.kind)
			}
			if refer := fmt.Sprint(numbers[text]); !slices.Contains(refers, refer) {
				refers = append(refers, refer)
			}
		}
		slices.Sort(kinds)
		kind := strings.Join(kinds, ", ")
		if kind == "" {
			kind = without[m.Path]
		}
		fmt.Fprintf(&table, "| %s | %s | %s | %s |\n", m.Path, m.Version, kind, strings.Join(refers, ", "))
	}
	return heading + table.String() + texts.String()
}

// indent makes a text a block of code, whatever it contains.
func indent(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight("    "+l, " \t\r")
	}
	return strings.Join(lines, "\n")
}
