package connect

import (
	"testing"
	"time"
)

func TestAWorkerOfExternalServersIsSeenThoughTheClocksDiffer(t *testing.T) {
	now := time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		what      string
		ago       time.Duration
		dev, team bool
	}{
		{"polling now", 0, true, true},
		{"in the middle of a poll", 59 * time.Second, true, true},
		{"polling, by a clock two minutes behind ours", 2*time.Minute + 30*time.Second, false, true},
		{"polling, by a clock ahead of ours", -10 * time.Minute, true, true},
		{"killed, and about to be forgotten", 295 * time.Second, false, false},
	} {
		for name, want := range map[string]bool{"dev": tt.dev, "team": tt.team} {
			if got := isWorkerActive(newTestSettings(t, name == "team"), now.Add(-tt.ago), now); got != want {
				t.Errorf("%s, %s: listening is %v, want %v", tt.what, name, got, want)
			}
		}
	}
}
