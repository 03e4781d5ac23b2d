package api_test

import (
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestATransitionTimeChangesOnlyWithTheStatus(t *testing.T) {
	var s api.ClusterStatus
	if s.FindCondition(api.NodesReady) != nil {
		t.Error("a condition that was never set")
	}
	t0 := time.Unix(100, 0)
	set := func(st api.ConditionStatus, msg string, at time.Time) {
		s.SetCondition(api.Condition{Type: api.NodesReady, Status: st, Message: msg}, at)
	}
	set(api.ConditionFalse, "1 of 3", t0)
	set(api.ConditionFalse, "2 of 3", t0.Add(1))
	if c := s.FindCondition(api.NodesReady); c.Message != "2 of 3" || c.LastTransitionTime != t0 {
		t.Errorf("%+v", c)
	}
	set(api.ConditionTrue, "", t0.Add(2))
	if c := s.FindCondition(api.NodesReady); c.LastTransitionTime != t0.Add(2) || len(s.Conditions) != 1 {
		t.Errorf("%+v", s.Conditions)
	}
}
