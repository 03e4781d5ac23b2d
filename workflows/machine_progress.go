package workflows

import (
	"fmt"
	"strings"

	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
)

// machineProgress knows at which step each machine stands, for people: the Web UI shows it as the workflow's current
// details, and a create that comes too late is explained by it.
type machineProgress struct {
	machines []activities.MachineRef
	doing    map[string]string
}

// stepReady is the board's word for a machine with nothing left to do.
const stepReady = "Ready"

// machinesShown bounds the details that the Web UI is given; the count of all stands above them.
const machinesShown = 30

func newMachineProgress() *machineProgress { return &machineProgress{doing: map[string]string{}} }

// trackMachines puts the machines of a new attempt on the board.
func (b *machineProgress) trackMachines(all []activities.MachineRef) {
	b.machines, b.doing = all, map[string]string{}
}

// replaceMachine puts a machine in the place of an earlier one.
func (b *machineProgress) replaceMachine(m activities.MachineRef) {
	for i := range b.machines {
		if b.machines[i].Index == m.Index {
			b.machines[i] = m
		}
	}
}

func (b *machineProgress) setStep(ctx workflow.Context, m activities.MachineRef, doing string) {
	b.doing[m.Name] = doing
	workflow.SetCurrentDetails(ctx, b.String())
}

func (b *machineProgress) setReady(ctx workflow.Context, m activities.MachineRef) {
	b.setStep(ctx, m, stepReady)
}

// findMachine finds a machine by name.
func (b *machineProgress) findMachine(name string) (activities.MachineRef, bool) {
	for _, m := range b.machines {
		if m.Name == name {
			return m, true
		}
	}
	return activities.MachineRef{}, false
}

// slowestMachine is the machine that the others wait for: the head until it is Ready, then the first that is not. A
// worker that waits for the head holds up nobody.
func (b *machineProgress) slowestMachine() (name, doing string) {
	for _, m := range b.machines {
		if b.doing[m.Name] != stepReady {
			return m.Name, b.doing[m.Name]
		}
	}
	return "", ""
}

// String is a Markdown list, as the Web UI renders it. Lint's check for determinism takes Sprintf for granted, but not
// Fprintf.
func (b *machineProgress) String() string {
	var s strings.Builder
	count := 0
	for _, m := range b.machines {
		if b.doing[m.Name] == stepReady {
			count++
		}
	}
	s.WriteString(fmt.Sprintf("%d of %d machines Ready\n\n", count, len(b.machines)))
	for i, m := range b.machines {
		if i == machinesShown {
			s.WriteString(fmt.Sprintf("- … and %d more\n", len(b.machines)-machinesShown))
			break
		}
		s.WriteString(fmt.Sprintf("- %s (%s): %s\n", m.Name, m.Role, b.doing[m.Name]))
	}
	return s.String()
}
