package terminal

import (
	"io"

	"github.com/sky-shift/skyctl/pkg/cli/render"
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
