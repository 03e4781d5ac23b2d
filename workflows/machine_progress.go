package workflows

import (
	"fmt"
	"strings"

	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
)

// machineProgress holds the current step of each machine. The Web UI shows it as the workflow's current details, and
// the error of a create that misses its deadline names a step of it.
type machineProgress struct {
	machines []activities.MachineRef
	steps    map[string]string // by machine name
}

// stepReady is the step of a machine whose Node is Ready.
const stepReady = "Ready"

// machinesShown bounds the machines that the Web UI lists.
const machinesShown = 30

func newMachineProgress() *machineProgress { return &machineProgress{steps: map[string]string{}} }

// trackMachines starts again with the machines of a new attempt.
func (p *machineProgress) trackMachines(all []activities.MachineRef) {
	p.machines, p.steps = all, map[string]string{}
}

// replaceMachine tracks a machine instead of the earlier one with the same index.
func (p *machineProgress) replaceMachine(m activities.MachineRef) {
	for i := range p.machines {
		if p.machines[i].Index == m.Index {
			p.machines[i] = m
		}
	}
}

func (p *machineProgress) setStep(ctx workflow.Context, m activities.MachineRef, step string) {
	p.steps[m.Name] = step
	workflow.SetCurrentDetails(ctx, p.String())
}

func (p *machineProgress) setReady(ctx workflow.Context, m activities.MachineRef) {
	p.setStep(ctx, m, stepReady)
}

// machineStep is the step that a machine is at.
type machineStep struct {
	Machine string `json:"machine"`
	Step    string `json:"step"`
}

// listSteps returns the steps of all machines.
func (p *machineProgress) listSteps() []machineStep {
	var all []machineStep
	for _, m := range p.machines {
		all = append(all, machineStep{Machine: m.Name, Step: p.steps[m.Name]})
	}
	return all
}

// takeOverSteps sets the steps of several machines.
func (p *machineProgress) takeOverSteps(ctx workflow.Context, steps []machineStep) {
	for _, s := range steps {
		p.steps[s.Machine] = s.Step
	}
	workflow.SetCurrentDetails(ctx, p.String())
}

func (p *machineProgress) stepOf(machine string) string { return p.steps[machine] }

func (p *machineProgress) findMachine(name string) (activities.MachineRef, bool) {
	for _, m := range p.machines {
		if m.Name == name {
			return m, true
		}
	}
	return activities.MachineRef{}, false
}

// slowestMachine returns the machine that the cluster waits for, and its step: the head until it is Ready, then the
// first worker that is not.
func (p *machineProgress) slowestMachine() (name, step string) {
	for _, m := range p.machines {
		if p.steps[m.Name] != stepReady {
			return m.Name, p.steps[m.Name]
		}
	}
	return "", ""
}

// String returns a Markdown list, which the Web UI renders. It uses Sprintf, because workflowcheck does not accept
// Fprintf.
func (p *machineProgress) String() string {
	var s strings.Builder
	count := 0
	for _, m := range p.machines {
		if p.steps[m.Name] == stepReady {
			count++
		}
	}
	s.WriteString(fmt.Sprintf("%d of %d machines Ready\n\n", count, len(p.machines)))
	for i, m := range p.machines {
		if i == machinesShown {
			s.WriteString(fmt.Sprintf("- … and %d more\n", len(p.machines)-machinesShown))
			break
		}
		s.WriteString(fmt.Sprintf("- %s (%s): %s\n", m.Name, m.Role, p.steps[m.Name]))
	}
	return s.String()
}
