package plan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/plan"
)

func TestLostKeysAreRestoredFirst(t *testing.T) {
	lost := func(harm func(*scene)) func(*scene) {
		return func(s *scene) {
			s.w.KeysMissing = []string{"ssh-key", "agent-token"}
			harm(s)
		}
	}
	hold(t, []rule{
		{"nothing else", lost(func(*scene) {}), "RestoreKeys", "KeysMissing: they are restored", ""},
		{"a worker is gone", lost(func(s *scene) {
			s.gone(1)
		}), "RestoreKeys", "MachineGone: no action until the keys", ""},
		{"a worker seems unreachable", lost(func(s *scene) {
			s.notReady(1, time.Hour)
			s.unreachable(1)
		}), "RestoreKeys", "NodeNotReady: no action until the keys", ""},
		{"the API is silent", lost(func(s *scene) {
			s.silent()
			s.drifting("", api.DriftAPISilent, time.Hour)
			s.unit(0, "active")
			s.says(0, plan.Unhealthy)
		}), "RestoreKeys", "APISilent: no action until the keys", ""},
		{"the head seems to be lost", lost(func(s *scene) {
			s.lose(0, time.Hour)
		}), "RestoreKeys", "HeadLost: no action until the keys", ""},
		{"after a recent attempt", lost(func(s *scene) {
			s.repaired(api.ActionRestoreKeys, 0, 2*time.Minute, "refused")
		}), "", "KeysMissing: they are restored from the machines at", ""},
		{"the cloud cannot be queried", lost(func(s *scene) { s.w.CloudError = "403" }), "", "", ""},
	})
	s := newScene(1)
	s.w.KeysMissing = []string{"ssh-key"}
	for _, c := range check(t, s).Conditions {
		if c.Type == api.InSync && (c.Status != api.ConditionFalse || !strings.Contains(c.Message, "KeysMissing")) {
			t.Errorf("%+v", c)
		}
	}
}
