package cli

import (
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/config"
)

// printNote prints a note on stderr. It prints nothing if a program reads the output.
func (a *app) printNote(text string) {
	if !a.hasStructuredOutput() {
		terminal.WriteNote(a.notes(), "Note: "+text)
	}
}

// hasStructuredOutput reports whether the running command writes for programs.
func (a *app) hasStructuredOutput() bool { return a.outputForm().IsStructured() }

// outputForm is the format of -o of the running command; a table if it has no -o.
func (a *app) outputForm() render.Format {
	if a.command == nil {
		return render.AsTable
	}
	f := a.command.Flags().Lookup("output")
	if f == nil {
		return render.AsTable
	}
	if o, ok := f.Value.(*outputFlags); ok {
		return o.form()
	}
	return render.AsTable
}

// noteUnknownSettings notes settings and variables that are ignored.
func (a *app) noteUnknownSettings(cfg *config.Config) {
	if text := cfg.ForeignNote(); text != "" {
		a.printNote(text)
	}
	for _, text := range cfg.IgnoredSettingNotes() {
		a.printNote(text)
	}
	if a.env.Environ == nil {
		return
	}
	for _, text := range config.UnknownVariableNotes(a.env.Environ()) {
		a.printNote(text)
	}
}
