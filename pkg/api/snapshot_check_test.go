package api

import (
	"testing"
	"time"
)

func TestTheNewestKeptSnapshotIsVerifiedOnSchedule(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	kept := func(name string, age time.Duration, check *SnapshotCheck) Snapshot {
		return Snapshot{Name: name, State: SnapshotKept, TakenAt: ago(age), Check: check}
	}
	checked := func(age time.Duration, result SnapshotResult) *SnapshotCheck {
		return &SnapshotCheck{AskedAt: ago(age + time.Minute), At: ago(age), Result: result}
	}
	onMachine := kept("on-machine", 0, nil)
	onMachine.State = SnapshotTaken
	for name, tt := range map[string]struct {
		every string
		all   []Snapshot
		want  string
	}{
		"off by default": {"", []Snapshot{kept("a", time.Hour, nil)}, ""},
		"off":            {"off", []Snapshot{kept("a", time.Hour, nil)}, ""},
		"no snapshot":    {"24h", nil, ""},
		"none is kept":   {"24h", []Snapshot{onMachine}, ""},
		"the newest": {"24h", []Snapshot{kept("a", 2*time.Hour, nil), kept("b", time.Hour, nil), onMachine},
			"b"},
		"verified lately": {"24h", []Snapshot{kept("a", time.Hour, nil),
			kept("b", 2*time.Hour, checked(time.Hour, SnapshotProven))}, ""},
		"verified long ago": {"24h", []Snapshot{kept("a", time.Hour, nil),
			kept("b", 48*time.Hour, checked(24*time.Hour, SnapshotProven))}, "a"},
		"verified again": {"24h", []Snapshot{kept("a", 48*time.Hour, checked(25*time.Hour, SnapshotProven))},
			"a"},
		"requested": {"24h", []Snapshot{kept("a", time.Hour, nil),
			kept("b", 2*time.Hour, &SnapshotCheck{AskedAt: ago(0)})}, ""},
		"the newest is damaged": {"24h", []Snapshot{kept("a", time.Hour, checked(25*time.Hour, SnapshotDamaged)),
			kept("b", 2*time.Hour, nil)}, "b"},
		"not verified yesterday": {"24h", []Snapshot{kept("a", time.Hour, checked(time.Hour, SnapshotUnknown))}, ""},
	} {
		got := SnapshotToCheck(SnapshotPolicy{VerifyEvery: tt.every}, tt.all, now)
		if (got == nil) != (tt.want == "") || got != nil && got.Name != tt.want {
			t.Errorf("%s: got %+v, want %q", name, got, tt.want)
		}
	}
}

func TestRequestedCheckIsDueUntilItEnds(t *testing.T) {
	s := Snapshot{}
	now := time.Now()
	if s.RequestCheck(now); !s.Check.IsDue() {
		t.Error("it is not due")
	}
	if s.Check.At = now.Add(time.Second); s.Check.IsDue() {
		t.Error("it is due after its end")
	}
	if s.RequestCheck(now.Add(time.Minute)); !s.Check.IsDue() || s.Check.At.IsZero() {
		t.Errorf("a second request: %+v", s.Check)
	}
}
