package cli

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/fixture"
	"github.com/sky-shift/skyctl/test/pseudoterminal"
	"github.com/sky-shift/skyctl/test/skydstub"
)

// onTerminal returns an environment whose three streams are one terminal.
func (p *testUser) onTerminal(term *pseudoterminal.Terminal) Environment {
	env := p.environment(nil, nil, nil)
	env.In, env.Out, env.Err = term.Far, term.Far, term.Far
	return env
}

func TestTerminalOutputMatchesTheTranscript(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	term := pseudoterminal.Open(t, 80, 24)
	if code := Run(t.Context(), p.onTerminal(term), createArgs("seen")); code != 0 {
		t.Fatalf("exit %d: %s", code, term.Text())
	}
	want := regexp.MustCompile(`(?s)^.*[` + terminal.SpinnerFrames +
		`] Creating cluster\nCreated cluster seen\.\n✔ Creating cluster completed successfully\.\n` +
		`Accepted; cluster seen is not READY yet[^\n]*\.\nTo watch it: skyctl get cluster seen -w\n$`)
	eventually.Holds(t, "everything is written", func() bool { return want.MatchString(term.Text()) })
}

func TestFailureReplacesTheSpinner(t *testing.T) {
	p := newExternalUser(t)
	term := pseudoterminal.Open(t, 80, 24)
	if code := Run(t.Context(), p.onTerminal(term), []string{"get", "cluster", "absent"}); code != ExitNotFound {
		t.Fatalf("exit %d: %s", code, term.Text())
	}
	eventually.Holds(t, "everything is written", func() bool {
		return strings.HasSuffix(term.Text(),
			terminal.EraseEOL+"✗ Fetching clusters failed: cluster \"absent\" does not exist\n")
	})
}

func TestDumbTerminalGetsPlainLines(t *testing.T) {
	p := newExternalUser(t)
	p.env["TERM"] = "dumb"
	term := pseudoterminal.Open(t, 80, 24)
	if code := Run(t.Context(), p.onTerminal(term), []string{"get", "cluster", "absent"}); code != ExitNotFound {
		t.Fatalf("exit %d: %s", code, term.Text())
	}
	eventually.Holds(t, "everything is written", func() bool {
		return term.Text() == "Fetching clusters\n✗ Fetching clusters failed: cluster \"absent\" does not exist\n"
	})
}

func TestDeletePromptsOnATerminal(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.run(createArgs("asked")...)
	eventually.Holds(t, "READY", func() bool { return strings.Contains(p.run("get", "cluster", "asked").out, "READY") })
	for _, tt := range []struct {
		answer string
		code   int
		says   string
	}{
		{"\n", ExitFailed, "cancelled: nothing was deleted"},
		{"no\n", ExitFailed, "cancelled: nothing was deleted"},
		{"y\n", ExitOK, "Cluster asked is being deleted."},
	} {
		term := pseudoterminal.Open(t, 80, 24)
		if _, err := term.Near.WriteString(tt.answer); err != nil {
			t.Fatal(err)
		}
		code := Run(t.Context(), p.onTerminal(term), []string{"delete", "cluster", "asked"})
		eventually.Holds(t, tt.says, func() bool { return strings.Contains(term.Text(), tt.says) })
		if code != tt.code || !strings.Contains(term.Text(), "Delete cluster asked (READY, 3 machines)? [y/N] ") {
			t.Errorf("%q: exit %d: %s", tt.answer, code, term.Text())
		}
	}
}

func TestConfirmationAppliesOnlyToTheShownCluster(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.run(createArgs("swapped")...)
	eventually.Holds(t, "READY", func() bool {
		return strings.Contains(p.run("get", "cluster", "swapped").out, "READY")
	})
	term := pseudoterminal.Open(t, 200, 24)
	ended := make(chan int, 1)
	go func() { ended <- Run(t.Context(), p.onTerminal(term), []string{"delete", "cluster", "swapped"}) }()
	eventually.Holds(t, "it asks", func() bool { return strings.Contains(term.Text(), "[y/N]") })
	shown, err := world.Store.ReadCluster(t.Context(), "swapped")
	if err == nil {
		err = world.Store.DeleteCluster(t.Context(), shown.Ref())
	}
	if err == nil {
		_, err = world.Store.CreateCluster(t.Context(),
			api.NewCluster("swapped", "uid-next", shown.Spec.CreateRequest(), nil, fixture.Noon))
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := term.Near.WriteString("y\n"); err != nil {
		t.Fatal(err)
	}
	if code := <-ended; code != ExitConflict {
		t.Errorf("exit %d: %s", code, term.Text())
	}
	if c, err := world.Store.ReadCluster(t.Context(), "swapped"); err != nil || c.Status.Phase != api.PhaseInit {
		t.Errorf("the other cluster: %+v, %v", c, err)
	}
}

func TestCreateOnATerminalLeavesOnlyItsResult(t *testing.T) {
	world.StartWorker(t)
	term := pseudoterminal.Open(t, 100, 24)
	const drawn = "sky-drawn-2  worker  Up  prepare"
	world.SetBehavior("drawn", skydstub.Behavior{Provision: func(ctx context.Context, w *skydstub.World,
		in operation.ProvisionInput) error {
		if err := w.MoveCluster(ctx, in.Cluster, api.PhaseProvisioning, api.MachineUp, "prepare"); err != nil {
			return err
		}
		err := await.Condition(ctx, terminal.FrameInterval, func() (bool, error) {
			return strings.Contains(term.Text(), drawn), nil
		})
		return errors.Join(err, w.SucceedCreate(ctx, in.Cluster))
	}})
	p := newExternalUser(t)
	p.env["SKYCTL_SECRETS_KEY_FILE"] = world.Config.SecretsKeyFile
	if code := Run(t.Context(), p.onTerminal(term), createArgs("drawn", "--wait")); code != 0 {
		t.Fatalf("exit %d: %s", code, term.Text())
	}
	eventually.Holds(t, "the tip", func() bool { return strings.Contains(term.Text(), "export KUBECONFIG=") })
	for _, want := range []string{drawn,
		"\x1b[J✔ Provisioning cluster completed successfully.\nCluster drawn is READY: 3 machines after "} {
		if !strings.Contains(term.Text(), want) {
			t.Errorf("%q is not in %q", want, term.Text())
		}
	}
}
