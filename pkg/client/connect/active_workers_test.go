package connect

import (
	"testing"
	"time"
)

func TestActiveWorkerIsFoundDespiteClockSkew(t *testing.T) {
	now := time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		what      string
		ago       time.Duration
		dev, team bool
	}{
		{"polling now", 0, true, true},
		{"in the middle of a poll", 59 * time.Second, true, true},
		{"polling, with a clock two minutes behind", 2*time.Minute + 30*time.Second, false, true},
		{"polling, with a clock ahead", -10 * time.Minute, true, true},
		{"killed, and about to be dropped", 295 * time.Second, false, false},
	} {
		for name, want := range map[string]bool{"dev": tt.dev, "team": tt.team} {
			if got := isWorkerActive(newTestSettings(t, name == "team"), now.Add(-tt.ago), now); got != want {
				t.Errorf("%s, %s: listening is %v, want %v", tt.what, name, got, want)
			}
		}
	}
}
