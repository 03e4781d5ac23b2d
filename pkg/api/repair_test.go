package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestTheRecordKeepsTheRepairsThatBackOffNeeds(t *testing.T) {
	var s api.ClusterStatus
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	begin := func(kind api.ActionKind, index int) {
		at = at.Add(time.Second)
		s.BeginRepair(api.Repair{ID: fmt.Sprint(kind, index, at.Unix()), At: at,
			Action: api.Action{Kind: kind, Index: index, Message: at.String()}})
	}
	count := func(kind api.ActionKind, index int) (n int) {
		for _, r := range s.Repairs {
			if r.Action.Kind == kind && r.Action.Index == index {
				n++
			}
		}
		return n
	}
	begin(api.ActionRestart, 0)
	for range 3 {
		for i := range 200 {
			begin(api.ActionReplace, i+1)
		}
	}
	for range 100 {
		begin(api.ActionWriteKubeconfig, 0)
	}
	if n := count(api.ActionRestart, 0); n != 1 {
		t.Errorf("the restart is on record %d times", n)
	}
	for i := range 200 {
		if n := count(api.ActionReplace, i+1); n != 3 {
			t.Fatalf("%d replacements of place %d are on record, want 3", n, i+1)
		}
	}
	for i, r := range s.Repairs[1:] {
		if r.At.Before(s.Repairs[i].At) {
			t.Fatal("the newest are not last")
		}
	}
	for i := range 5000 {
		begin(api.ActionReplace, i)
	}
	if n := len(s.Repairs); n > 1000 {
		t.Errorf("%d repairs are on record", n)
	}
	at = at.Add(48 * time.Hour)
	begin(api.ActionRestart, 0)
	if n := len(s.Repairs); n != 50 {
		t.Errorf("two days later %d repairs are on record, want the last 50", n)
	}
}

func TestARepairThatStartsTwiceIsRecordedOnce(t *testing.T) {
	var s api.ClusterStatus
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s.BeginRepair(api.Repair{ID: "a", At: at})
	s.BeginRepair(api.Repair{ID: "a", At: at.Add(time.Minute)})
	s.EndRepair("a", "no capacity", at.Add(time.Hour))
	if len(s.Repairs) != 1 || s.Repairs[0].Error != "no capacity" || !s.Repairs[0].At.Equal(at) {
		t.Errorf("got %+v", s.Repairs)
	}
}

func TestLongTextsOfRepairsAreCut(t *testing.T) {
	var s api.ClusterStatus
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	long := strings.Repeat("ä", 10_000)
	var all []api.Repair
	for i := range 1200 {
		all = append(all, api.Repair{ID: fmt.Sprint(i), At: at,
			Action: api.Action{Kind: api.ActionBringUp, Index: i, Message: long}})
	}
	s.BeginRepairs(all)
	for _, r := range all {
		s.EndRepair(r.ID, long, at)
	}
	stored, err := json.Marshal(s)
	if err != nil || len(stored) > 1200<<10 { // etcd accepts 1.5 MiB
		t.Errorf("%d bytes, %v", len(stored), err)
	}
	if text := s.Repairs[0].Error; !utf8.ValidString(text) || !strings.HasSuffix(text, " …") {
		t.Errorf("cut to %q", text)
	}
}
