package cli

import (
	"fmt"

	"github.com/sky-shift/skyctl/pkg/config"
)

// note tells a person on stderr what keeps no command from working. Where a program reads the output nothing but errors
// goes there.
func (a *app) note(text string) {
	if !a.forMachines() {
		fmt.Fprintln(a.env.Err, "Note: "+clean(text))
	}
}

// forMachines is true where the command that runs was asked to write for programs.
func (a *app) forMachines() bool {
	if a.command == nil {
		return false
	}
	f := a.command.Flags().Lookup("output")
	if f == nil {
		return false
	}
	c, ok := f.Value.(*choice)
	return ok && c.forMachines()
}

// noteUnknown names what was given as a setting and is none.
func (a *app) noteUnknown(cfg *config.Config) {
	if text := cfg.ForeignNote(); text != "" {
		a.note(text)
	}
	for _, text := range cfg.IgnoredNotes() {
		a.note(text)
	}
	if a.env.Environ == nil {
		return
	}
	for _, text := range config.UnknownVariables(a.env.Environ()) {
		a.note(text)
	}
}
