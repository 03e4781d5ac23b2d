package terminal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/printable"
	"github.com/sky-shift/skyctl/test/fixture"
	"github.com/sky-shift/skyctl/test/pseudoterminal"
)

func TestOnlyOurOwnControlSequencesReachTheTerminal(t *testing.T) {
	c := fixture.NewHostile[api.Cluster]()
	for _, m := range []api.MachineState{api.MachineUp} {
		for i := range c.Status.Machines {
			c.Status.Machines[i].State = m
		}
	}
	var b bytes.Buffer
	p := &ProgressDisplay{w: &b, tty: true, title: printable.Line(fixture.Hostile), now: time.Now, began: time.Now()}
	p.cluster, p.notice = &c, fixture.Hostile
	p.drawBlock()
	p.drawBlock()
	fixture.CheckHarmless(t, "progress", regexp.MustCompile("\x1b\\[(K|J|[0-9]+A\r)").ReplaceAllString(b.String(), ""))
	b.Reset()
	(&Spinner{w: &b, title: printable.Line(fixture.Hostile)}).ReportFailure(errors.New(fixture.Hostile))
	fixture.CheckHarmless(t, "a failed status", b.String())
}

func awaitScreen(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("timeout: %s", what)
}

func TestProgressBlockIsRedrawnAndFitsTheTerminal(t *testing.T) {
	term := pseudoterminal.Open(t, 40, 5)
	now := fixture.Noon
	c := fixture.NewFreshCluster()
	for i := range 10 {
		c.Status.Machines = append(c.Status.Machines,
			fixture.NewMachine("cloud-cluster", i, api.MachineUp, "a step with a rather long name", time.Second))
	}
	p := StartProgress(term.Far, func() time.Time { return now }, "Provisioning cluster", nil)
	p.ShowUpdate(c, "")
	awaitScreen(t, "it is drawn again", func() bool { return strings.Contains(term.Text(), "\x1b[4A") })
	p.ReportSuccess()
	awaitScreen(t, "it ends", func() bool {
		return strings.HasSuffix(term.Text(), "✔ Provisioning cluster completed successfully.\n")
	})
	for _, l := range strings.Split(term.Text(), "\n") {
		// the text of the last line, with at most the terminal's width before it
		if n := len([]rune(printable.Line(l))); n > 48 {
			t.Errorf("%d characters in %q", n, l)
		}
	}
	if !strings.Contains(term.Text(), "…") {
		t.Error("long lines were not cut")
	}
}

func TestMessagesAreRewrittenInEveryPlace(t *testing.T) {
	rewrite := func(text string) string { return strings.ReplaceAll(text, "skyctl get", "skyctl --context team get") }
	var b bytes.Buffer
	w := &SanitizingWriter{To: &b, Rewrite: rewrite}
	failure := errors.New("no\n1 skyctl get a")
	s := StartSpinner(w, "Spinning", false)
	s.PrintNote("2 skyctl get b")
	s.ReportFailure(failure, "3 skyctl get c", "4 skyctl get d")
	p := StartProgress(w, time.Now, "Changing", nil)
	p.ShowNotice("5 skyctl get e")
	p.ReportFailure(failure, "6 skyctl get f")
	io.WriteString(w, "7 skyctl get g\n")
	for i := 1; i <= 7; i++ {
		if want := fmt.Sprintf("%d skyctl --context team get ", i); !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	b.Reset()
	io.WriteString(WithoutRewrite(w), "skyctl get h")
	if b.String() != "skyctl get h" {
		t.Errorf("output of a machine: %q", b.String())
	}

	term := pseudoterminal.Open(t, 60, 10)
	drawn := StartProgress(&SanitizingWriter{To: term.Far, Rewrite: rewrite}, time.Now, "Changing", nil)
	drawn.ShowUpdate(fixture.NewFreshCluster(), "skyctl get clusters, which goes on to the edge of the terminal")
	awaitScreen(t, "the block has the notice, cut to the width", func() bool {
		return strings.Contains(term.Text(), "  skyctl --context team get clusters, which goes on to the…")
	})
	drawn.ReportSuccess()
}
