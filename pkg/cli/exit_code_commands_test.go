package cli

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/lockedbuffer"
	"github.com/sky-shift/skyctl/test/skydstub"
)

// runUntil runs a command, does something once it has printed a text, and returns its exit code.
func (p *testUser) runUntil(printed string, then func(interrupt func()), args ...string) int {
	p.t.Helper()
	ctx, interrupt := context.WithCancel(p.t.Context())
	defer interrupt()
	var output lockedbuffer.Buffer
	done := make(chan int, 1)
	go func() { done <- Run(ctx, p.environment(nil, &output, &output), args) }()
	eventually.Holds(p.t, "it has printed "+printed, func() bool { return strings.Contains(output.String(), printed) })
	then(interrupt)
	return <-done
}

// interruptedAfter returns a case that Ctrl-C ends once the command has printed a text.
func interruptedAfter(printed string, args ...string) func(*testUser) int {
	return func(p *testUser) int {
		return p.runUntil(printed, func(interrupt func()) { interrupt() }, args...)
	}
}

// endsBy returns a case of a command that runs to its end.
func endsBy(args ...string) func(*testUser) int {
	return func(p *testUser) int { return p.run(args...).code }
}

// withoutServers returns a case of a user whose servers do not answer.
func withoutServers(args ...string) func(*testUser) int {
	return func(p *testUser) int {
		p.env["SKYCTL_ETCD_ENDPOINTS"], p.env["SKYCTL_TEMPORAL_ADDRESS"] = "https://127.0.0.1:1", "127.0.0.1:1"
		return p.run(args...).code
	}
}

// exitCodeCases are command lines by the exit code that they have. The clusters are those of storeExitCodeClusters.
func exitCodeCases(t *testing.T, failBegun func()) map[int][]func(*testUser) int {
	t.Helper()
	file := newFile(t, "codes", 3)
	return map[int][]func(*testUser) int{
		ExitOK: {endsBy("get", "clusters"), endsBy("wait", "cluster/codes", "--for=condition=Ready"),
			endsBy("wait", "cluster/absent", "--for=delete"), func(p *testUser) int {
				return p.runUntil("goes ", func(func()) { p.run("delete", "cluster", "goes", "--yes") },
					"get", "cluster", "goes", "-w")
			}},
		ExitFailed: {endsBy(createArgs("fails", "--wait")...), endsBy("diff", "-f", file), func(p *testUser) int {
			return p.runUntil("Waiting for cluster falls", func(func()) { failBegun() },
				"wait", "cluster/falls", "--for=condition=Ready")
		}},
		ExitUsage: {endsBy("get", "clusters", "-o", "xml"), endsBy("get", "clusters", "-w", "--export"),
			endsBy("wait", "cluster/codes"), endsBy("delete", "cluster", "codes"), endsBy("crate")},
		ExitConflict: {endsBy(createArgs("codes", "--memory", "64")...), endsBy("stop", "cluster", "begun", "--yes"),
			endsBy("wait", "cluster/leaving", "--for=condition=Ready")},
		ExitNotFound: {endsBy("get", "cluster", "absent"), endsBy("get", "cluster", "absent", "-w"),
			endsBy("wait", "cluster/absent", "--for=condition=Ready"), endsBy("delete", "cluster", "absent", "--yes")},
		ExitUnreachable: {withoutServers("get", "clusters"), withoutServers("get", "clusters", "-w"),
			withoutServers("get", "events", "-w"), withoutServers("wait", "cluster/codes", "--for=delete")},
		ExitTimeout: {endsBy("wait", "cluster/begun", "--for=condition=Ready", "--timeout=0"),
			endsBy("wait", "cluster/begun", "--for=delete", "--timeout=100ms"),
			endsBy("label", "cluster", "begun", "a=b", "--wait", "--timeout", "1s")},
		ExitInterrupted: {interruptedAfter("begun ", "get", "clusters", "-w"),
			interruptedAfter("LAST SEEN", "get", "events", "-w"),
			interruptedAfter("Waiting for cluster begun", "wait", "cluster/begun", "--for=condition=Ready"),
			interruptedAfter("Provisioning cluster", createArgs("begun", "--wait")...)},
	}
}

// storeExitCodeClusters stores a READY cluster and one that goes, one that is being created and one whose create fails
// once the returned function is called, and one that is being deleted.
func storeExitCodeClusters(t *testing.T) (failBegun func()) {
	t.Helper()
	storeLabeledCluster(t, "codes", nil)
	storeLabeledCluster(t, "goes", nil)
	storeLabeledCluster(t, "leaving", nil)
	failure := func(ctx context.Context, w *skydstub.World, ref api.Ref) error {
		return w.FailCreate(ctx, ref, api.Failure{Step: "launch", Reason: "Timeout", Message: "no machine"})
	}
	world.SetBehavior("fails", skydstub.Behavior{Provision: func(ctx context.Context, w *skydstub.World,
		in operation.ProvisionInput) error {
		return failure(ctx, w, in.Cluster)
	}})
	t.Cleanup(holdCreates(t, "begun", failure))
	failBegun = holdCreates(t, "falls", failure)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	world.SetBehavior("leaving", skydstub.Behavior{Delete: func(ctx context.Context, _ *skydstub.World,
		_ operation.DeleteInput) error {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return ctx.Err()
	}})
	p := newExternalUser(t)
	p.run(createArgs("begun")...)
	p.run(createArgs("falls")...)
	p.run("delete", "cluster", "leaving", "--yes").checkOutput(t, 0, "Cluster leaving is being deleted.", "")
	return failBegun
}

func TestEachDocumentedExitCodeIsThatOfItsCommands(t *testing.T) {
	world.StartWorker(t)
	cases := exitCodeCases(t, storeExitCodeClusters(t))
	var documented []int
	for _, found := range regexp.MustCompile(`(?m)^  (\d+) `).FindAllStringSubmatch(exitCodesHelp, -1) {
		code, err := strconv.Atoi(found[1])
		if err != nil {
			t.Fatal(err)
		}
		documented = append(documented, code)
		if len(cases[code]) == 0 {
			t.Errorf("no command is run for exit code %d", code)
		}
	}
	for code, runs := range cases {
		if !slices.Contains(documented, code) {
			t.Errorf("exit code %d is not documented", code)
		}
		for i, run := range runs {
			if got := run(newExternalUser(t)); got != code {
				t.Errorf("case %d of exit code %d: exit %d", i, code, got)
			}
		}
	}
}
