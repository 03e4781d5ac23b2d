package render

import (
	"fmt"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// MachineReport is the result of check --cluster: what is wrong with the machines of a cluster.
type MachineReport struct {
	Cluster string `json:"cluster"`
	// OK: every machine was looked at, and none has a problem.
	OK       bool               `json:"ok"`
	Machines []api.MachineCheck `json:"machines"`
}

// CountBadMachines counts the machines that have a problem or were not looked at.
func (r MachineReport) CountBadMachines() int {
	n := 0
	for _, m := range r.Machines {
		if !m.IsGood() {
			n++
		}
	}
	return n
}

// RenderPage renders the report: a row per machine, with its findings and their fixes.
func (r MachineReport) RenderPage() string {
	if len(r.Machines) == 0 {
		return fmt.Sprintf("Cluster %s has no machines.\n", r.Cluster)
	}
	table := &Table{head: []string{"MACHINE", "ROLE", "GOOD", "FINDINGS"}}
	for _, m := range r.Machines {
		table.addRow(textCell(m.Machine), textCell(string(m.Role)), textCell(formatYesNo(m.IsGood())),
			machineFindingsCell(m))
	}
	verdict := fmt.Sprintf("No machine of cluster %s has a problem.", r.Cluster)
	if bad := r.CountBadMachines(); bad > 0 {
		verdict = fmt.Sprintf("%s of cluster %s need attention.", FormatCount(bad, "machine"), r.Cluster)
		if bad == 1 {
			verdict = fmt.Sprintf("1 machine of cluster %s needs attention.", r.Cluster)
		}
	}
	return table.String() + "\n" + verdict + "\n"
}

func machineFindingsCell(m api.MachineCheck) Cell {
	var c Cell
	if m.Unchecked != "" {
		c = wrapSentence("not checked: " + m.Unchecked)
	}
	for _, f := range m.Findings {
		c = append(c, wrapSentence(fmt.Sprintf("%s (%s): %s", f.Check, strings.ToLower(string(f.Severity)), f))...)
	}
	if len(c) == 0 {
		return textCell("-")
	}
	return c
}
