package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/printer"
)

// waitSubject is what wait --for says about a kind of objects.
type waitSubject struct {
	kind string
	// phases are the values of phase=.
	phases []string
	// conditions are those that follow from a phase, by the phase that makes them true. created is the one of an object
	// whose create has succeeded. listed are those that the object lists.
	conditions map[string]string
	created    string
	listed     []string
}

var waitClusters = waitSubject{kind: "cluster",
	phases: []string{string(api.PhaseInit), string(api.PhaseProvisioning), string(api.PhaseReady),
		string(api.PhaseError), string(api.PhaseDeleting), string(api.PhaseStopped)},
	conditions: map[string]string{"Ready": string(api.PhaseReady), "Stopped": string(api.PhaseStopped)},
	created:    "Ready",
	listed: []string{string(api.MachinesLaunched), string(api.MachinesPrepared), string(api.ControlPlaneReady),
		string(api.NodesReady), string(api.AddOnsReady), string(api.GPUReady), string(api.Reachable),
		string(api.InSync)}}

var waitMachines = waitSubject{kind: "machine",
	phases: []string{string(api.MachineReserved), string(api.MachineLaunching), string(api.MachineUp),
		string(api.MachinePrepared), string(api.MachineReady), string(api.MachineTerminating),
		string(api.MachineGone)},
	conditions: map[string]string{"Ready": string(api.MachineReady)}, created: "Ready"}

var waitSnapshots = waitSubject{kind: "snapshot",
	phases: []string{string(api.SnapshotWanted), string(api.SnapshotTaken), string(api.SnapshotKept),
		string(api.SnapshotFailed), string(api.SnapshotLost), string(api.SnapshotDeleting)},
	conditions: map[string]string{"Ready": string(api.SnapshotKept), "Kept": string(api.SnapshotKept)},
	created:    "Kept"}

// waitGoal is the parsed value of --for.
type waitGoal struct {
	text string
	// isDelete waits until the object is gone.
	isDelete bool
	// phases are the phases of which the object has to be in one; or, with notPhase, in none.
	phases   []string
	notPhase bool
	// condition has to have this status.
	condition string
	status    api.ConditionStatus
	// path has to lead to value, or to any value.
	path     *printer.Path
	value    string
	anyValue bool
}

const wantWaitGoal = "must be condition=NAME, delete, phase=PHASE or jsonpath='{.PATH}'=VALUE"

// parseWaitGoal reads --for. Names of conditions and phases may be in any case.
func parseWaitGoal(subject waitSubject, text string) (waitGoal, error) {
	what, rest, _ := strings.Cut(text, "=")
	g := waitGoal{text: text}
	var err error
	switch strings.ToLower(what) {
	case "delete":
		g.isDelete = true
		if rest != "" {
			err = errors.New(wantWaitGoal)
		}
	case "create":
		err = errors.New("a created object exists once its command returns: wait for condition=" + subject.created)
	case "condition":
		err = g.parseCondition(subject, rest)
	case "phase":
		for name := range strings.SplitSeq(rest, ",") {
			i := slices.IndexFunc(subject.phases, func(p string) bool { return strings.EqualFold(p, name) })
			if i < 0 {
				err = fmt.Errorf("the phase of a %s is one of %s", subject.kind, strings.Join(subject.phases, ", "))
				break
			}
			g.phases = append(g.phases, subject.phases[i])
		}
	case "jsonpath":
		err = g.parsePath(rest)
	default:
		err = errors.New(wantWaitGoal)
	}
	if err != nil {
		return g, &api.FieldError{Field: "for", Value: text, Want: err.Error()}
	}
	return g, nil
}

// parseCondition reads NAME or NAME=STATUS.
func (g *waitGoal) parseCondition(subject waitSubject, text string) error {
	name, wanted, hasStatus := strings.Cut(text, "=")
	g.status = api.ConditionTrue
	if hasStatus {
		statuses := []api.ConditionStatus{api.ConditionTrue, api.ConditionFalse, api.ConditionUnknown}
		i := slices.IndexFunc(statuses, func(s api.ConditionStatus) bool {
			return strings.EqualFold(string(s), wanted)
		})
		if i < 0 {
			return errors.New("the status of a condition is True, False or Unknown")
		}
		g.status = statuses[i]
	}
	for known, phase := range subject.conditions {
		if strings.EqualFold(known, name) {
			g.phases, g.notPhase = []string{phase}, g.status == api.ConditionFalse
			if g.status == api.ConditionUnknown {
				return fmt.Errorf("condition %s is True or False", known)
			}
			return nil
		}
	}
	for _, known := range subject.listed {
		if strings.EqualFold(known, name) {
			g.condition = known
			return nil
		}
	}
	var names []string
	for known := range subject.conditions {
		names = append(names, known)
	}
	slices.Sort(names)
	return fmt.Errorf("the condition of a %s is one of %s", subject.kind,
		strings.Join(append(names, subject.listed...), ", "))
}

// parsePath reads '{.PATH}'=VALUE, or '{.PATH}' for any value. The path may contain =, in a filter.
func (g *waitGoal) parsePath(text string) error {
	if quoted, ok := strings.CutPrefix(text, "'{"); ok { // quotes that the shell has left
		if end := strings.LastIndex(quoted, "}'"); end >= 0 {
			text = "{" + quoted[:end+1] + quoted[end+2:]
		}
	}
	path, value, hasValue := text, "", false
	if end := strings.LastIndex(text, "}"); strings.HasPrefix(text, "{") && end > 0 {
		path = text[:end+1]
		value, hasValue = strings.CutPrefix(text[end+1:], "=")
		if !hasValue && text[end+1:] != "" {
			return errors.New(wantWaitGoal)
		}
	} else {
		path, value, hasValue = strings.Cut(text, "=")
	}
	if path == "" || hasValue && value == "" {
		return errors.New(wantWaitGoal)
	}
	parsed, err := printer.NewPath(path)
	if err != nil {
		return fmt.Errorf("%s (%w)", wantWaitGoal, err)
	}
	g.path, g.value, g.anyValue = parsed, strings.Trim(value, `"'`), !hasValue
	return nil
}

// isMet judges an object by its phase, its conditions and its fields. A delete is never met by an object that exists.
func (g *waitGoal) isMet(object any, phase string, conditions []api.Condition) (bool, error) {
	switch {
	case g.isDelete:
		return false, nil
	case len(g.phases) > 0:
		return slices.Contains(g.phases, phase) != g.notPhase, nil
	case g.condition != "":
		return slices.ContainsFunc(conditions, func(c api.Condition) bool {
			return string(c.Type) == g.condition && c.Status == g.status
		}), nil
	}
	values, err := g.path.Read(object)
	if err != nil {
		return false, fmt.Errorf("--for=%s: %w", g.text, err)
	}
	if g.anyValue {
		return len(values) > 0, nil
	}
	return len(values) == 1 && values[0] == g.value, nil
}

// describe says the goal in an error: "cluster dev is not ... after 5m".
func (g *waitGoal) describe() string {
	if g.isDelete {
		return "gone"
	}
	return g.text
}
