package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/printable"
	"github.com/sky-shift/skyctl/test/skydstub"
)

// pseudoTerminal is a terminal in memory: what is written to far arrives in screen, what is typed at near can be read from far.
type pseudoTerminal struct {
	near, far *os.File
	screen    syncBuffer
}

func newPseudoTerminal(t *testing.T, width, height uint16) *pseudoTerminal {
	t.Helper()
	near, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(near.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	far, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height}); err != nil {
		t.Fatal(err)
	}
	term := &pseudoTerminal{near: near, far: far}
	go io.Copy(&term.screen, near)
	t.Cleanup(func() { far.Close(); near.Close() })
	return term
}

// text is all that was written, with the terminal's line ends.
func (t *pseudoTerminal) text() string { return strings.ReplaceAll(t.screen.String(), "\r\n", "\n") }

// onTerminal is the environment of somebody whose three streams are one terminal.
func (p *testUser) onTerminal(term *pseudoTerminal) Environment {
	env := p.environment(nil, nil, nil)
	env.In, env.Out, env.Err = term.far, term.far, term.far
	return env
}

func TestOnATerminalTheTranscriptIsSeenAsItIsWritten(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	term := newPseudoTerminal(t, 80, 24)
	if code := Run(t.Context(), p.onTerminal(term), createArgs("seen")); code != 0 {
		t.Fatalf("exit %d: %s", code, term.text())
	}
	want := regexp.MustCompile(`(?s)^.*[` + spinnerFrames +
		`] Creating cluster\nCreated cluster seen\.\n✔ Creating cluster completed successfully\.\n$`)
	awaitCondition(t, "everything is written", func() bool { return want.MatchString(term.text()) })
}

func TestAFailureTakesTheSpinnersPlace(t *testing.T) {
	p := newExternalUser(t)
	term := newPseudoTerminal(t, 80, 24)
	if code := Run(t.Context(), p.onTerminal(term), []string{"get", "cluster", "absent"}); code != ExitNotFound {
		t.Fatalf("exit %d: %s", code, term.text())
	}
	awaitCondition(t, "everything is written", func() bool {
		return strings.HasSuffix(term.text(),
			eraseEOL+"✗ Fetching clusters failed: cluster \"absent\" does not exist\n")
	})
}

func TestATerminalThatCannotBeDrawnOnGetsPlainLines(t *testing.T) {
	p := newExternalUser(t)
	p.env["TERM"] = "dumb"
	term := newPseudoTerminal(t, 80, 24)
	if code := Run(t.Context(), p.onTerminal(term), []string{"get", "cluster", "absent"}); code != ExitNotFound {
		t.Fatalf("exit %d: %s", code, term.text())
	}
	awaitCondition(t, "everything is written", func() bool {
		return term.text() == "Fetching clusters\n✗ Fetching clusters failed: cluster \"absent\" does not exist\n"
	})
}

func TestADeleteAsksOnATerminal(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.run(createArgs("asked")...)
	awaitCondition(t, "READY", func() bool { return strings.Contains(p.run("get", "cluster", "asked").out, "READY") })
	for _, tt := range []struct {
		answer string
		code   int
		says   string
	}{
		{"\n", ExitFailed, "nothing was deleted"},
		{"no\n", ExitFailed, "nothing was deleted"},
		{"y\n", ExitOK, "Cluster asked is being deleted."},
	} {
		term := newPseudoTerminal(t, 80, 24)
		if _, err := term.near.WriteString(tt.answer); err != nil {
			t.Fatal(err)
		}
		code := Run(t.Context(), p.onTerminal(term), []string{"delete", "cluster", "asked"})
		awaitCondition(t, tt.says, func() bool { return strings.Contains(term.text(), tt.says) })
		if code != tt.code || !strings.Contains(term.text(), "Delete cluster asked (READY, 3 machines)? [y/N] ") {
			t.Errorf("%q: exit %d: %s", tt.answer, code, term.text())
		}
	}
}

func TestAYesIsForTheClusterThatWasShown(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.run(createArgs("swapped")...)
	awaitCondition(t, "READY", func() bool { return strings.Contains(p.run("get", "cluster", "swapped").out, "READY") })
	term := newPseudoTerminal(t, 200, 24)
	ended := make(chan int, 1)
	go func() { ended <- Run(t.Context(), p.onTerminal(term), []string{"delete", "cluster", "swapped"}) }()
	awaitCondition(t, "it asks", func() bool { return strings.Contains(term.text(), "[y/N]") })
	shown, err := world.Store.ReadCluster(t.Context(), "swapped")
	if err == nil {
		err = world.Store.DeleteCluster(t.Context(), shown.Ref())
	}
	if err == nil {
		_, err = world.Store.CreateCluster(t.Context(), api.NewCluster("swapped", "uid-next", shown.Spec, nil, noon))
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := term.near.WriteString("y\n"); err != nil {
		t.Fatal(err)
	}
	if code := <-ended; code != ExitConflict {
		t.Errorf("exit %d: %s", code, term.text())
	}
	if c, err := world.Store.ReadCluster(t.Context(), "swapped"); err != nil || c.Status.Phase != api.PhaseInit {
		t.Errorf("the other one: %+v, %v", c, err)
	}
}

func TestTheBlockIsDrawnInPlaceAndFitsTheTerminal(t *testing.T) {
	term := newPseudoTerminal(t, 40, 5)
	now := noon
	c := newFreshCluster()
	for i := range 10 {
		c.Status.Machines = append(c.Status.Machines,
			newTestMachine("cloud-cluster", i, api.MachineUp, "a step with a rather long name", time.Second))
	}
	p := startProgress(term.far, func() time.Time { return now }, "Provisioning cluster", nil)
	p.showUpdate(c, "")
	awaitCondition(t, "it is drawn again", func() bool { return strings.Contains(term.text(), "\x1b[4A") })
	p.reportSuccess()
	awaitCondition(t, "it ends", func() bool {
		return strings.HasSuffix(term.text(), "✔ Provisioning cluster completed successfully.\n")
	})
	for _, l := range strings.Split(term.text(), "\n") {
		// the last line's words, and no more than the terminal's width before it
		if n := len([]rune(printable.Line(l))); n > 48 {
			t.Errorf("%d characters in %q", n, l)
		}
	}
	if !strings.Contains(term.text(), "…") {
		t.Error("long lines were not cut")
	}
}

func TestAWatchedCreateOnATerminalLeavesOnlyItsResult(t *testing.T) {
	world.StartWorker(t)
	world.SetBehavior("drawn", skydstub.Behavior{Provision: func(ctx context.Context, w *skydstub.World,
		in operation.ProvisionInput) error {
		if err := w.MoveCluster(ctx, in.Cluster, api.PhaseProvisioning, api.MachineUp, "prepare"); err != nil {
			return err
		}
		time.Sleep(3 * frameInterval) // long enough to be drawn
		return w.SucceedCreate(ctx, in.Cluster)
	}})
	p := newExternalUser(t)
	p.env["SKYCTL_SECRETS_KEY_FILE"] = world.Config.SecretsKeyFile
	term := newPseudoTerminal(t, 100, 24)
	if code := Run(t.Context(), p.onTerminal(term), createArgs("drawn", "--wait")); code != 0 {
		t.Fatalf("exit %d: %s", code, term.text())
	}
	awaitCondition(t, "the tip", func() bool { return strings.Contains(term.text(), "export KUBECONFIG=") })
	for _, want := range []string{"sky-drawn-2  worker  Up  prepare",
		"\x1b[J✔ Provisioning cluster completed successfully.\nCluster drawn is READY: 3 machines after "} {
		if !strings.Contains(term.text(), want) {
			t.Errorf("%q is not in %q", want, term.text())
		}
	}
}
