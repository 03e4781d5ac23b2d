package plan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/plan"
)

// TestDriftMessages checks that messages describe their scene.
func TestDriftMessages(t *testing.T) {
	unready := func(s *scene) { s.record(1).State = api.MachineUp; s.noNode(1) }
	for _, tt := range []struct {
		name  string
		scene func(*scene)
		want  string
	}{
		{"a worker listed as stopped, whose Node is Ready", func(s *scene) {
			s.stop(1)
			s.w.Nodes[s.record(1).NodeName] = plan.Node{Ready: true}
		}, "the cloud says that it is stopped, though its Node is Ready"},
		{"an unfinished machine without a repair", unready, "it is Up, and no repair is running"},
		{"an unfinished machine with a running repair", func(s *scene) {
			unready(s)
			s.repaired(api.ActionReplace, 1, time.Hour, "killed")
		}, "it is Up, and its Replace, started at 11:00:00Z, has not finished"},
		{"an unfinished machine whose repair preceded another", func(s *scene) {
			unready(s)
			s.repaired(api.ActionReplace, 1, 2*time.Hour, "killed")
			s.repaired(api.ActionBringUp, 1, time.Hour, "no answer")
		}, "it is Up, and no repair is running"},
		{"a copy that was detected before", identified(func(s *scene) {
			s.copied(0, "backup", "i-9")
			s.w.Listed[len(s.w.Listed)-1].Conflict = "its labels make it sky-x-0: it may be a copy, or was renamed"
		}), "it (id i-9) has the labels of sky-x-0, which is another machine"},
		{"a copy whose original is gone", identified(func(s *scene) {
			s.w.Listed = append(s.w.Listed, plan.ListedMachine{Name: "sky-x-7", ID: "i-9", Cluster: "x", Index: 7,
				Incarnation: "z",
				Conflict:    "it carries the same labels as sky-x-7 (id i-8): one may be a copy of the other"})
		}), "it carries the same labels as sky-x-7 (id i-8): one may be a copy of the other (its id is i-9)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(4)
			tt.scene(s)
			var got []string
			for _, d := range check(t, s).Drift {
				got = append(got, d.Message)
			}
			if !strings.Contains(strings.Join(got, "\n"), tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
