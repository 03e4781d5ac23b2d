package cli

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/pseudoterminal"
	"github.com/sky-shift/skyctl/test/skydstub"
)

// createReady creates a cluster and waits until it is READY.
func (p *testUser) createReady(name string) {
	p.t.Helper()
	p.run(createArgs(name)...)
	eventually.Holds(p.t, "READY", func() bool { return strings.Contains(p.run("get", "cluster", name).out, "READY") })
}

func TestStatusIsColoredOnATerminalOnly(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.createReady("painted")
	const colored = "  \x1b[32mREADY\x1b[0m  "
	for _, tt := range []struct {
		variable, value string
		colored         bool
	}{
		{"TERM", "xterm", true},
		{"NO_COLOR", "", true}, // set but empty is not set
		{"NO_COLOR", "1", false},
		{"TERM", "dumb", false},
	} {
		p.env[tt.variable] = tt.value
		term := pseudoterminal.Open(t, 100, 24)
		if code := Run(t.Context(), p.onTerminal(term), []string{"get", "cluster", "painted"}); code != ExitOK {
			t.Fatalf("exit %d: %s", code, term.Text())
		}
		eventually.Holds(t, "everything is written", func() bool {
			return strings.HasSuffix(term.Text(), "✔ Fetching clusters completed successfully.\n")
		})
		plain := strings.NewReplacer("\x1b[32m", "", "\x1b[0m", "").Replace(term.Text())
		if strings.Contains(term.Text(), colored) != tt.colored ||
			strings.Contains(term.Text(), "\x1b[32m") != tt.colored || !strings.Contains(plain, "  READY     ") {
			t.Errorf("%s=%s: %q", tt.variable, tt.value, term.Text())
		}
		delete(p.env, tt.variable)
	}
	if piped := p.run("get", "cluster", "painted"); strings.Contains(piped.out+piped.err, "\x1b") {
		t.Errorf("escape sequences in a pipe: %q%q", piped.out, piped.err)
	}
}

func TestPagesAndNotesFitTheTerminal(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	world.SetBehavior("narrow", skydstub.Behavior{Plan: func(api.GroupSpec) (operation.PlanResult, error) {
		return operation.PlanResult{Placements: []api.Placement{skydstub.DefaultPlacement},
			Warnings: []api.Finding{{Check: "CPUs", Severity: api.FindingWarning,
				Message: strings.Repeat("these machines have few CPUs, ", 5), Fix: "wait"}}}, nil
	}})
	p.createReady("paged")
	dryRun := createArgs("planned", "--dry-run", "--region", "narrow")
	for _, tt := range []struct {
		args []string
		last string
	}{
		{dryRun, "each worker."},
		{[]string{"describe", "cluster", "paged"}, "> paged.kubeconfig)"},
		{[]string{"scale", "cluster", "paged", "--num_nodes", "7", "--dry-run"}, "after."},
		{[]string{"check"}, "Clusters can be created on"},
		{[]string{"reconcile", "paged"}, "is in sync"},
	} {
		term := pseudoterminal.Open(t, 80, 24)
		if code := Run(t.Context(), p.onTerminal(term), tt.args); code != ExitOK {
			t.Fatalf("%v: exit %d: %s", tt.args, code, term.Text())
		}
		eventually.Holds(t, tt.last, func() bool { return strings.Contains(term.Text(), tt.last) })
		text := strings.ReplaceAll(strings.ReplaceAll(term.Text(), terminal.EraseEOL, "\n"), "\r", "\n")
		for l := range strings.Lines(text) {
			l = strings.TrimRight(l, "\n")
			isAddress := strings.HasPrefix(l, "Operation: ") // no blank is in it
			isWord := len(strings.Fields(l)) == 1            // such as the path of a directory
			if render.CellWidth(l) > 80 && !isAddress && !isWord {
				t.Errorf("%v: %d cells in %q", tt.args, render.CellWidth(l), l)
			}
		}
	}
	piped := p.run(dryRun...)
	requireAll(t, piped.out, "PRICE/H    TOTAL/H\n")
	requireAll(t, piped.err, "Warning: "+strings.Repeat("these machines have few CPUs, ", 5)+": wait\n")
}

func TestWatchFollowsTheSizeOfTheTerminal(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.createReady("resized")
	world.SetBehavior("resized", skydstub.Behavior{Converge: func(context.Context, *skydstub.World,
		operation.ConvergeInput) error {
		return nil // it writes nothing: each label makes one row
	}})
	term := pseudoterminal.Open(t, 80, 24)
	go Run(t.Context(), p.onTerminal(term), []string{"get", "cluster", "resized", "-w", "-o", "wide"})
	rows := func() []string { return strings.Split(strings.TrimSuffix(term.Text(), "\n"), "\n") }
	eventually.Holds(t, "the first row", func() bool {
		return len(rows()) == 2 && strings.HasSuffix(term.Text(), "\n")
	})
	for i, width := range []uint16{60, 40, 200} {
		before := len(rows())
		term.Resize(t, width, 24)
		label := "round=" + strings.Repeat("n", 20+i)
		if r := p.run("label", "cluster", "resized", label, "--overwrite"); r.code != ExitOK {
			t.Fatalf("exit %d: %s", r.code, r.err)
		}
		eventually.Holds(t, "the next row", func() bool {
			return len(rows()) > before && strings.HasPrefix(rows()[len(rows())-1], "resized ") &&
				strings.HasSuffix(term.Text(), "\n")
		})
		for _, row := range rows()[before:] {
			plain := strings.NewReplacer("\x1b[32m", "", "\x1b[0m", "").Replace(row)
			if render.CellWidth(plain) > int(width) || !strings.Contains(row, "READY") &&
				!strings.Contains(row, "STATUS") {
				t.Errorf("%d columns: %q", width, row)
			}
		}
	}
}

func TestCtrlCOnATerminalEndsAWatchWith130(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.createReady("looked-at")
	term := pseudoterminal.Open(t, 80, 24)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "get", "cluster", "looked-at", "-w")
	cmd.Env = []string{asSkyctl + "=1", "HOME=" + t.TempDir()}
	for k, v := range p.env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = term.Far, term.Far, term.Far
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true} // the terminal sends it the signal
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually.Holds(t, "the row", func() bool { return strings.Contains(term.Text(), "READY") })
	if _, err := term.Near.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != ExitInterrupted {
		t.Errorf("exit %d: %q", cmd.ProcessState.ExitCode(), term.Text())
	}
	if strings.Contains(term.Text(), "✗") {
		t.Errorf("Ctrl-C is told as a failure: %q", term.Text())
	}
}
