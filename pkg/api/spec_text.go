package api

import (
	"strings"
)

// LabeledValues returns the labels and values of the fields that are set, in turn, for describe.
func (s GroupSpec) LabeledValues() []string {
	var all []string
	for _, f := range Fields {
		if v := f.Show(s); f.Label != "" && v != "" {
			all = append(all, f.Label, v)
		}
	}
	return all
}

// CreateFlags returns the flags of the create that asks for the spec, each as name and value. The value of a switch is
// empty. Fields whose value follows from the others are left out.
func (s GroupSpec) CreateFlags() [][2]string {
	var all [][2]string
	for _, f := range Fields {
		text := f.text(s)
		switch {
		case f.Flag == NoFlag || text == "" || f.IsImplied(s):
		case f.Flag == FlagSwitch && text == "true":
			all = append(all, [2]string{f.Name, ""})
		case f.Flag == FlagSwitch: // pflag takes the value of a switch after an equals sign only
			all = append(all, [2]string{f.Name + "=" + text, ""})
		default:
			all = append(all, [2]string{f.Name, text})
		}
	}
	return all
}

// CreateVariables returns the environment variables, each as name and value, that a create needs to ask for the same
// spec: they hold the fields without a flag.
func (s GroupSpec) CreateVariables() [][2]string {
	var all [][2]string
	for _, f := range Fields {
		if text := f.text(s); f.Flag == NoFlag && text != "" {
			all = append(all, [2]string{f.Variable, text})
		}
	}
	return all
}

// maxSummaryLength keeps a summary within the 200 bytes that Temporal accepts.
const maxSummaryLength = 180

// Summarize returns the number of machines and every field of theirs that is set, in one line.
func (s GroupSpec) Summarize() string {
	var parts []string
	for _, f := range Fields {
		text := f.text(s)
		switch {
		case f.Scope != MachineScope || text == "":
		case f.Flag == FlagSwitch:
			parts = append(parts, f.Name)
		default:
			parts = append(parts, f.Name+" "+text)
		}
	}
	summary := FormatMachines(s.NumNodes)
	if len(parts) > 0 {
		summary += ": " + strings.Join(parts, ", ")
	}
	if len(summary) > maxSummaryLength {
		summary = strings.ToValidUTF8(summary[:maxSummaryLength], "") + "…"
	}
	return summary
}
