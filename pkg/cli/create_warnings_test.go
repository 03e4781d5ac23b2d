package cli

import (
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/skydstub"
)

// warnOfCPUs has the clouds warn of something in each plan for a region.
func warnOfCPUs(region string) {
	world.SetBehavior(region, skydstub.Behavior{Plan: func(api.GroupSpec) (operation.PlanResult, error) {
		return operation.PlanResult{Placements: []api.Placement{skydstub.DefaultPlacement},
			Warnings: []api.Finding{{Check: "CPUs", Severity: api.FindingWarning, Message: "few CPUs",
				Fix: "wait"}}}, nil
	}})
}

// plainMirror are settings of a cluster of which its spec itself warns.
const plainMirror = "rke2: {registries: [{host: docker.io, mirrors: ['http://mirror.lan']}]}\n"

// checkWarnedOnce checks that a command succeeds and prints each warning once, on stderr.
func (r runResult) checkWarnedOnce(t *testing.T, what string, warnings ...string) {
	t.Helper()
	for _, w := range warnings {
		if r.code != 0 || strings.Count(r.err, w) != 1 || strings.Contains(r.out, "Warning") {
			t.Errorf("%s: %q is not there once: exit %d\n%s%s", what, w, r.code, r.out, r.err)
		}
	}
}

func TestCreateShowsWarningsOnce(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	warnOfCPUs("warned")
	p.writeConfig(plainMirror)
	const ofCloud, ofSpec = "Warning: few CPUs: wait", "has http://mirror.lan"
	create := func(more ...string) runResult {
		return p.run(createArgs("is-warned", append(more, "--region", "warned")...)...)
	}
	create("--dry-run").checkWarnedOnce(t, "a dry run", ofCloud, ofSpec)
	create("--dry-run", "-o", "yaml").checkWarnedOnce(t, "a file", ofSpec)
	create().checkWarnedOnce(t, "a create", ofCloud, ofSpec)
}

func TestApplyShowsWarningsOnce(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	warnOfCPUs("warned-file")
	file := newFile(t, "is-warned-too", 1, "  region: warned-file",
		"  rke2: {registries: [{host: docker.io, mirrors: ['http://mirror.lan']}]}")
	const ofCloud, ofSpec = "Warning: cluster is-warned-too: few CPUs: wait", "has http://mirror.lan"
	p.run("apply", "-f", file, "--dry-run").checkWarnedOnce(t, "a dry run", ofCloud, ofSpec)
	p.run("apply", "-f", file, "--dry-run", "-o", "json").checkWarnedOnce(t, "as JSON", ofCloud, ofSpec)
	p.run("apply", "-f", file).checkWarnedOnce(t, "an apply", ofCloud, ofSpec)
}
