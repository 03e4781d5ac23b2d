package cli

import (
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/skydstub"
)

func TestCreateShowsWarningsOnce(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	world.SetBehavior("warned", skydstub.Behavior{Plan: func(api.GroupSpec) (operation.PlanResult, error) {
		return operation.PlanResult{Placements: []api.Placement{skydstub.DefaultPlacement},
			Warnings: []api.Finding{{Check: "CPUs", Severity: api.FindingWarning, Message: "few CPUs",
				Fix: "wait"}}}, nil
	}})
	got := p.run(createArgs("is-warned", "--region", "warned")...)
	if got.code != 0 || strings.Count(got.err, "Warning: few CPUs: wait") != 1 {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
}
