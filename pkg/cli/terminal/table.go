package terminal

import (
	"fmt"
	"io"

	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// WriteTable writes a table. It fits a terminal, and has colours there if the writer has them; elsewhere nothing is
// shortened.
func WriteTable(w io.Writer, t *render.Table) error {
	w = styleTable(w, t)
	_, err := io.WriteString(w, t.String())
	return err
}

// WriteNextRow writes one more row below a table. It fits the terminal, which may have changed its size.
func WriteNextRow(w io.Writer, t *render.Table, row []render.Cell) error {
	w = styleTable(w, t)
	_, err := io.WriteString(w, t.RenderNextRow(row...))
	return err
}

// WritePage writes a page of text and columns. Its lines are broken where they do not fit a terminal; elsewhere the
// page stays as it is.
func WritePage(w io.Writer, page string) error {
	if width, ok := ReadWidth(w); ok {
		page = render.FitPage(rewriterOf(w).apply(page), width)
		w = WithoutRewrite(w) // else the page would no longer fit
	}
	_, err := io.WriteString(w, page)
	return err
}

// WriteNote writes a line for people, which is broken at blanks where it does not fit a terminal.
func WriteNote(w io.Writer, text string) {
	text = rewriterOf(w).apply(printable.Line(text))
	width, _ := ReadWidth(w)
	fmt.Fprintln(WithoutRewrite(w), render.FitNote(text, width))
}

// styleTable makes a table suit a writer, and returns the writer for it.
func styleTable(w io.Writer, t *render.Table) io.Writer {
	width, _ := ReadWidth(w)
	t.FitWidth(width)
	if s, ok := w.(*SanitizingWriter); ok && s.Colored {
		t.ColorStatuses()
		return s.To // it would remove the colours; the table has only printable text beside them
	}
	return WithoutRewrite(w) // else the table would no longer fit
}
