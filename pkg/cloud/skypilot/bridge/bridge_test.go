package bridge

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/venv"
)

// slowLibrary stands in for Python: it reads questions and answers them, but those that have "slow" in them once the
// file "go" is there, those with "never" never, and at "die" it ends.
const slowLibrary = `#!/bin/sh
while read -r line; do
	id=$(echo "$line" | sed 's/{"id": \([0-9]*\),.*/\1/')
	case $line in
	*die*) echo "out of memory" >&2; exit 1 ;;
	*never*) touch "$DIR/put" ;;
	*slow*)
		touch "$DIR/put"
		(until [ -e "$DIR/go" ]; do sleep 0.05; done; echo "{\"id\": $id, \"ok\": \"late $$\"}") & ;;
	*) echo "{\"id\": $id, \"ok\": \"$$\"}" ;;
	esac
done
`

type toldBridge struct {
	*Bridge
	dir string
}

func newToldBridge(t *testing.T) toldBridge {
	t.Helper()
	dir := t.TempDir()
	python := filepath.Join(dir, "python")
	if err := os.WriteFile(python, []byte(slowLibrary), 0o700); err != nil {
		t.Fatal(err)
	}
	// SkyPilot's rsync is not needed here.
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	if err := os.WriteFile(filepath.Join(dir, "rsync"), nil, 0o700); err != nil {
		t.Fatal(err)
	}
	b := New(venv.Environment{Dir: dir, Python: python, Env: []string{"DIR=" + dir}})
	t.Cleanup(func() { _ = b.Close() })
	return toldBridge{b, dir}
}

func (b toldBridge) answer(t *testing.T, question string) string {
	t.Helper()
	var got string
	if err := b.callLibrary(t.Context(), question, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// wasPut waits until the program has read a question that it does not answer.
func (b toldBridge) wasPut(t *testing.T) {
	t.Helper()
	for {
		if err := os.Remove(filepath.Join(b.dir, "put")); err == nil {
			return
		}
		if await.Pause(t.Context(), 20*time.Millisecond) != nil {
			t.Fatal("the question was never put")
		}
	}
}

func TestSlowQuestionDoesNotDelayOthers(t *testing.T) {
	b := newToldBridge(t)
	slow := make(chan string, 1)
	go func() {
		var got string
		if err := b.callLibrary(t.Context(), "slow", &got); err != nil {
			got = err.Error()
		}
		slow <- got
	}()
	b.wasPut(t)
	process := b.answer(t, "quick")
	select {
	case got := <-slow:
		t.Fatalf("it was answered first: %s", got)
	default:
	}
	if err := os.WriteFile(filepath.Join(b.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := <-slow; got != "late "+process {
		t.Errorf("answered %q, want the one of process %s", got, process)
	}
}

func TestAbandonedQuestionDoesNotAffectOtherQuestions(t *testing.T) {
	b := newToldBridge(t)
	slow := make(chan error, 1)
	go func() { slow <- b.callLibrary(t.Context(), "slow", nil) }()
	b.wasPut(t)
	first := b.answer(t, "quick")
	ctx, giveUp := context.WithCancelCause(t.Context())
	given := make(chan error, 1)
	go func() { given <- b.callLibrary(ctx, "never", nil) }()
	b.wasPut(t)
	enough := errors.New("enough")
	giveUp(enough)
	if err := <-given; !errors.Is(err, enough) {
		t.Errorf("abandoned question: %v", err)
	}
	if second := b.answer(t, "quick"); second == first {
		t.Error("a process that may hang gets further questions")
	}
	if err := os.WriteFile(filepath.Join(b.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-slow; err != nil {
		t.Errorf("who waited on: %v", err)
	}
}

func TestBridgeRestartsAProcessThatExited(t *testing.T) {
	b := newToldBridge(t)
	first := b.answer(t, "quick")
	err := b.callLibrary(t.Context(), "die", nil)
	if err == nil || !strings.Contains(err.Error(), "out of memory") {
		t.Errorf("it ended: %v", err)
	}
	if second := b.answer(t, "quick"); second == first {
		t.Error("the same process answers")
	}
}
