package hostmode

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func put(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestFailuresAreUsedUp(t *testing.T) {
	m := Modes{Dir: t.TempDir()}
	if _, found := m.TakeFailure(PullFails); found {
		t.Error("without the file there is a failure")
	}
	put(t, m.Dir, PullFails, "2 TOOMANYREQUESTS: slow down\n")
	for range 2 {
		if cause, found := m.TakeFailure(PullFails); !found || cause != "TOOMANYREQUESTS: slow down" {
			t.Errorf("got %q, %t", cause, found)
		}
	}
	if _, found := m.TakeFailure(PullFails); found {
		t.Error("a third failure of two")
	}
	put(t, m.Dir, PullFails, "1")
	if cause, found := m.TakeFailure(PullFails); !found || cause != "" {
		t.Errorf("without a cause: %q, %t", cause, found)
	}
}

func TestSecondsOfAFile(t *testing.T) {
	m := Modes{Dir: t.TempDir()}
	for content, want := range map[string]time.Duration{"60\n": time.Minute, "": 0, "-3": 0, "soon": 0} {
		put(t, m.Dir, SlowAPI, content)
		if got := m.Seconds(SlowAPI); got != want {
			t.Errorf("%q: %s, want %s", content, got, want)
		}
	}
	if got := m.Seconds(Uninitialized); got != 0 {
		t.Errorf("no file: %s", got)
	}
}
