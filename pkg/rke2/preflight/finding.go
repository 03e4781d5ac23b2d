package preflight

import (
	"fmt"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/rke2"
)

// Finding is something about a machine that keeps it from being a node, or may.
type Finding = api.Finding

func newProblem(check, fix, format string, args ...any) Finding {
	return Finding{Check: check, Severity: api.FindingProblem, Message: fmt.Sprintf(format, args...), Fix: fix}
}

func newWarning(check, fix, format string, args ...any) Finding {
	return Finding{Check: check, Severity: api.FindingWarning, Message: fmt.Sprintf(format, args...), Fix: fix}
}

// errorKinds are the kinds of errors of checks that have one of their own; the others are rke2.MachineUnfit.
var errorKinds = map[string]string{checkClock: rke2.ClockSkew, checkDisk: rke2.DiskTooFull,
	checkPlatform: rke2.Unsupported}

// RefuseUnfit returns an error that tells all problems of a machine, or nil if there are none. Warnings do not count.
func RefuseUnfit(machine string, findings []Finding) error {
	var texts []string
	kinds := map[string]bool{}
	for _, f := range findings {
		if f.Severity != api.FindingProblem {
			continue
		}
		kind := errorKinds[f.Check]
		if kind == "" {
			kind = rke2.MachineUnfit
		}
		kinds[kind] = true
		texts = append(texts, f.String())
	}
	if len(texts) == 0 {
		return nil
	}
	e := &rke2.Error{Kind: rke2.MachineUnfit, Machine: machine, Permanent: true, Message: texts[0]}
	for kind := range kinds {
		if len(kinds) == 1 {
			e.Kind = kind
		}
	}
	if len(texts) > 1 {
		for i := range texts {
			texts[i] = fmt.Sprintf("(%d) %s", i+1, texts[i])
		}
		e.Message = fmt.Sprintf("it has %d problems: %s", len(texts), strings.Join(texts, "; "))
	}
	return e
}
