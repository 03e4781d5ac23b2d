package snapshots

import (
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestWhoWaitsLongestIsVerifiedFirst(t *testing.T) {
	now := time.Now()
	asked := func(name string, ago time.Duration, check api.SnapshotCheck) api.Snapshot {
		check.AskedAt = now.Add(-ago)
		return api.Snapshot{Name: name, Check: &check}
	}
	all := []api.Snapshot{
		{Name: "never"}, asked("late", time.Minute, api.SnapshotCheck{}),
		asked("done", time.Hour, api.SnapshotCheck{At: now.Add(-time.Minute)}),
		asked("early", time.Hour, api.SnapshotCheck{At: now.Add(-2 * time.Hour)}),
	}
	var names []string
	for _, s := range dueChecks(all) {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, " "); got != "early late" {
		t.Errorf("got %s", got)
	}
	var many []api.Snapshot
	for range maxChecks + 5 {
		many = append(many, asked("x", 0, api.SnapshotCheck{}))
	}
	if got := len(dueChecks(many)); got != maxChecks {
		t.Errorf("%d at once", got)
	}
}

func TestOutcomeIsTold(t *testing.T) {
	start := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for result, want := range map[api.SnapshotResult]struct {
		text, reason string
		kind         api.EventType
	}{
		api.SnapshotProven: {"snapshot a: restored apart, it has all 7 keys at revision 40 (found within 1m12s)",
			"SnapshotVerified",
			api.EventNormal},
		api.SnapshotDamaged: {"snapshot a: why (found within 1m12s)", "SnapshotDamaged",
			api.EventWarning},
		api.SnapshotUnknown: {"snapshot a: it could not be verified: why (found within 1m12s)", "SnapshotNotVerified",
			api.EventWarning},
	} {
		s := api.Snapshot{Name: "a", Cluster: "prod", ClusterUID: "u", Revision: 40, Check: &api.SnapshotCheck{
			StartedAt: start, At: start.Add(72 * time.Second), Result: result, Keys: 7}}
		s.Check.Message = describeCheck(s, "why")
		if e := newCheckEvent(s); e.Message != want.text || e.Reason != want.reason || e.Type != want.kind ||
			e.UID != "u" {
			t.Errorf("%s: got %+v", result, e)
		}
	}
}
