package workflows

import (
	"fmt"
	"strings"

	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
)

// board knows at which step each machine stands, for people: the Web UI shows it as the workflow's current details, and
// a create that comes too late is explained by it.
type board struct {
	machines []activities.MachineRef
	doing    map[string]string
}

// ready is the board's word for a machine with nothing left to do.
const ready = "Ready"

// showAtMost bounds the details that the Web UI is given; the count of all stands above them.
const showAtMost = 30

func newBoard() *board { return &board{doing: map[string]string{}} }

// start puts the machines of a new attempt on the board.
func (b *board) start(all []activities.MachineRef) {
	b.machines, b.doing = all, map[string]string{}
}

// replace puts a machine in the place of an earlier one.
func (b *board) replace(m activities.MachineRef) {
	for i := range b.machines {
		if b.machines[i].Index == m.Index {
			b.machines[i] = m
		}
	}
}

func (b *board) at(ctx workflow.Context, m activities.MachineRef, doing string) {
	b.doing[m.Name] = doing
	workflow.SetCurrentDetails(ctx, b.String())
}

func (b *board) done(ctx workflow.Context, m activities.MachineRef) { b.at(ctx, m, ready) }

// machine finds a machine by name.
func (b *board) machine(name string) (activities.MachineRef, bool) {
	for _, m := range b.machines {
		if m.Name == name {
			return m, true
		}
	}
	return activities.MachineRef{}, false
}

// slowest is the machine that the others wait for: the head until it is Ready, then the first that is not. A worker
// that waits for the head holds up nobody.
func (b *board) slowest() (name, doing string) {
	for _, m := range b.machines {
		if b.doing[m.Name] != ready {
			return m.Name, b.doing[m.Name]
		}
	}
	return "", ""
}

// String is a Markdown list, as the Web UI renders it. Lint's check for determinism takes Sprintf for granted, but not Fprintf.
func (b *board) String() string {
	var s strings.Builder
	count := 0
	for _, m := range b.machines {
		if b.doing[m.Name] == ready {
			count++
		}
	}
	s.WriteString(fmt.Sprintf("%d of %d machines Ready\n\n", count, len(b.machines)))
	for i, m := range b.machines {
		if i == showAtMost {
			s.WriteString(fmt.Sprintf("- … and %d more\n", len(b.machines)-showAtMost))
			break
		}
		s.WriteString(fmt.Sprintf("- %s (%s): %s\n", m.Name, m.Role, b.doing[m.Name]))
	}
	return s.String()
}
