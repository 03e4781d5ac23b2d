package home

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestRestoredStateIsAFindingUntilItIsRecorded(t *testing.T) {
	r := &Restoration{ID: "r2", TakenAt: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Hostname: "ann", Dir: "/s"}
	for _, recorded := range []string{"", "r1"} {
		f := CompareRestoration(api.Home{Starts: 3, Restored: recorded}, r)
		if f == nil || f.Kind != api.HomeRestored ||
			!strings.Contains(f.Message, "/s on ann, made on 2026-03-01 12:00:00 UTC") {
			t.Errorf("recorded %q: %+v", recorded, f)
		}
	}
	if f := CompareRestoration(api.Home{Restored: "r2"}, r); f != nil {
		t.Errorf("it is found again: %+v", f)
	}
	if f := CompareRestoration(api.Home{}, nil); f != nil {
		t.Errorf("a state that was not restored: %+v", f)
	}
}

func TestUnreadableRestorationIsAnError(t *testing.T) {
	dir := t.TempDir()
	if r, err := ReadRestoration(dir); r != nil || err != nil {
		t.Errorf("without a file: %+v, %v", r, err)
	}
	for _, content := range []string{"", "{}", "{"} {
		if err := os.WriteFile(filepath.Join(dir, RestorationFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := ReadRestoration(dir); err == nil {
			t.Errorf("%q: %+v", content, r)
		}
	}
}
