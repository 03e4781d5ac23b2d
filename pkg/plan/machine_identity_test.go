package plan_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/plan"
)

// withIDs gives every machine a cloud id, "i-0" for the head, in the list and in its record.
func (s *scene) withIDs() {
	for i := range s.c.Status.Machines {
		s.record(i).CloudID = fmt.Sprintf("i-%d", i)
		s.w.Listed[i].ID, s.w.Listed[i].Cluster = s.record(i).CloudID, s.c.Metadata.Name
	}
}

// copied adds a copy of a machine with all its labels, under another name and id.
func (s *scene) copied(i int, name, id string) {
	l := s.w.Listed[i]
	l.Name, l.ID = name, id
	s.w.Listed = append(s.w.Listed, l)
}

// identified adds ids to the scene of a rule.
func identified(also func(*scene)) func(*scene) {
	return func(s *scene) { s.withIDs(); also(s) }
}

func TestConflictingMachinesAreOnlyReported(t *testing.T) {
	hold(t, []rule{
		{"a copy of the head under another name", identified(func(s *scene) { s.copied(0, "backup", "i-9") }), "",
			"backup MachineConflict: only reported", ""},
		{"a copy of the head, whose id was never recorded", func(s *scene) { s.copied(0, "backup", "i-9") }, "",
			"backup MachineConflict: only reported", ""},
		{"a copy of a worker that is gone", identified(func(s *scene) {
			s.copied(1, "backup", "i-9")
			s.w.Listed = slices.Delete(s.w.Listed, 1, 2)
			s.notReady(1, time.Hour)
		}),
			"Replace sky-x-1", "backup MachineConflict: only reported|sky-x-1 MachineGone: it is replaced", ""},
		{"a machine that was renamed", identified(func(s *scene) { s.w.Listed[0].Name = "old" }), "",
			"sky-x-0 MachineConflict: it is kept", ""},
		{"a worker that was renamed and is broken",
			identified(func(s *scene) {
				s.w.Listed[1].Name = "old"
				s.unreachable(1)
				s.notReady(1,
					time.Hour)
			}), "Replace sky-x-1", "sky-x-1 MachineConflict: it is kept", ""},
		{"names swapped with a copy",
			identified(func(s *scene) {
				s.copied(0, "sky-x-0",
					"i-9")
				s.w.Listed[0].Name = "old"
			}), "", "sky-x-0 MachineConflict: it is kept|sky-x-0 MachineConflict: only reported", ""},
		{"swapped labels", identified(func(s *scene) {
			a, b := &s.w.Listed[1], &s.w.Listed[2]
			a.Index, a.Incarnation, b.Index, b.Incarnation = b.Index, b.Incarnation, a.Index, a.Incarnation
			s.notReady(1, time.Hour)
			s.unreachable(1)
		}), "", "sky-x-1 MachineConflict: skyctl does not change it|sky-x-2 MachineConflict: skyctl does not change it",
			""},
		{"another machine instead of a worker, with all its labels",
			identified(func(s *scene) {
				s.w.Listed[1].ID = "i-9"
				s.notReady(1,
					time.Hour)
				s.unreachable(1)
			}), "", "sky-x-1 MachineConflict: skyctl does not change it", ""},
		{"two with the same name and labels, and no recorded id", func(s *scene) {
			s.w.Listed[1].ID = "i-1"
			s.copied(1, "sky-x-1", "i-9")
			s.notReady(1, time.Hour)
		}, "", "sky-x-1 MachineConflict: skyctl does not change it", ""},
		{"two with the same name and labels, one with the recorded id",
			identified(func(s *scene) {
				s.copied(1, "sky-x-1", "i-9")
			}), "", "sky-x-1 MachineConflict: only reported", ""},
		{"a server without a record", identified(func(s *scene) {
			s.w.Listed = append(s.w.Listed, plan.ListedMachine{Name: "sky-x-0", ID: "i-9", Cluster: "x",
				Incarnation: "z"})
		}), "", "sky-x-0 MachineConflict: only reported", ""},
		{"a healthy extra machine", identified(func(s *scene) {
			s.w.Listed = append(s.w.Listed, plan.ListedMachine{Name: "sky-x-7", ID: "i-9", Cluster: "x", Index: 7,
				Incarnation: "z"})
			s.w.Nodes["sky-x-7-z"] = plan.Node{Ready: true}
		}), "", "sky-x-7 MachineExtra: only reported", ""},
		{"a copy of a previous incarnation", identified(func(s *scene) {
			s.w.Listed[1] = plan.ListedMachine{Name: "sky-x-1", ID: "i-9", Cluster: "x", Index: 1,
				Incarnation: "before",
				Conflict:    "a copy"}
			s.notReady(1, time.Hour)
		}), "", "sky-x-1 MachineConflict: only reported|sky-x-1 MachineGone: no action while another machine (id " +
			"i-9) has the same name", ""},
		{"two extra machines with the same labels", identified(func(s *scene) {
			extra := plan.ListedMachine{Name: "sky-x-7", ID: "i-8", Cluster: "x", Index: 7, Incarnation: "z"}
			twin := extra
			twin.ID = "i-9"
			s.w.Listed = append(s.w.Listed, extra, twin)
		}), "", "sky-x-7 MachineConflict: only reported", ""},
	})
}

func TestActionHasTheCloudIDOfItsMachine(t *testing.T) {
	for what, arm := range map[string]func(*scene){
		"recorded id": func(s *scene) { s.withIDs() },
		"listed":      func(s *scene) { s.withIDs(); s.record(1).CloudID = "" },
	} {
		s := newScene(4)
		arm(s)
		s.copied(1, "backup", "i-9")
		s.unit(1, "failed")
		s.notReady(1, time.Hour)
		s.repaired(api.ActionRestart, 1, 30*time.Minute, "")
		s.drifting("sky-x-1", api.DriftUnitDead, time.Hour)
		d := check(t, s)
		if actions(d) != "Replace sky-x-1" || d.Actions[0].ID != "i-1" || d.Actions[0].Incarnation != "inc1" {
			t.Errorf("%s: %+v", what, d.Actions)
		}
	}
}

// mischief is the set of machine ids that were copied or changed from outside.
func (s *scene) mischief(r *rand.Rand) (touched map[string]bool) {
	touched = map[string]bool{}
	n := len(s.c.Status.Machines)
	for k := range 1 + r.IntN(4) {
		i, id := r.IntN(n), fmt.Sprintf("c-%d", k)
		l := &s.w.Listed[r.IntN(n)]
		switch r.IntN(6) {
		case 0: // a copy under any name
			s.copied(i, []string{"backup", s.record(r.IntN(n)).Name, "sky-x-9"}[r.IntN(3)], id)
			touched[id] = true
		case 1: // a name that was changed
			l.Name = []string{"old", s.record(i).Name}[r.IntN(2)]
		case 2: // labels that were swapped
			o := &s.w.Listed[i]
			l.Index, l.Incarnation, o.Index, o.Incarnation = o.Index, o.Incarnation, l.Index, l.Incarnation
		case 3: // another machine in its place
			if l.ID = id; r.IntN(2) == 0 {
				l.Stopped = true
			}
			touched[id] = true
		case 4: // an index that makes no sense, or that of the server
			l.Index = []int{0, 7}[r.IntN(2)]
		case 5: // a machine without a record
			s.w.Listed = append(s.w.Listed, plan.ListedMachine{Name: []string{"sky-x-0", "sky-y-0"}[r.IntN(2)], ID: id,
				Cluster:     "x",
				Incarnation: "foreign"})
			touched[id] = true
		}
		if r.IntN(3) == 0 {
			s.record(i).CloudID = "" // of the version before
		}
	}
	return touched
}

func TestCopiesNeverEndARecordedMachine(t *testing.T) {
	ended, replaced, conflicts := 0, 0, 0
	forEach(t, func(seed uint64) error {
		r := rand.New(rand.NewPCG(seed, 12))
		s := newScene(2 + r.IntN(4))
		s.withIDs()
		for i := range s.c.Status.Machines {
			switch r.IntN(8) {
			case 0:
				s.notReady(i, time.Hour)
				s.unreachable(i)
			case 1:
				s.w.Listed[i].Stopped = true
				s.notReady(i, time.Hour)
			}
		}
		s.w.Listed = append(s.w.Listed, plan.ListedMachine{Name: "sky-x-8", ID: "i-8", Cluster: "x", Index: 8,
			Incarnation: "extra"})
		touched := s.mischief(r)
		s.w.CanStart = r.IntN(2) == 0
		if r.IntN(6) == 0 {
			s.silent()
			s.unreachable(0)
		}
		d := s.decide()
		for _, a := range d.Actions {
			unknown := a.Kind != api.ActionTerminate &&
				s.record(a.Index).CloudID == "" // then it is whichever fits, where one does
			switch {
			case a.Kind == api.ActionTerminate && (a.ID != "i-8" || a.Incarnation != "extra"), touched[a.ID] &&
				!unknown:
				return fmt.Errorf("%s of %s (id %s, incarnation %s), which skyctl must not terminate\n%s", a.Kind,
					a.Machine, a.ID,
					a.Incarnation, drift(d))
			case a.Kind == api.ActionTerminate:
				ended++
			case a.Kind == api.ActionReplace && (a.Index == 0 || s.w.Nodes[s.record(a.Index).NodeName].Ready):
				return fmt.Errorf("replaces %s, which is healthy or the head\n%s", a.Machine, drift(d))
			case a.Kind == api.ActionReplace:
				replaced++
			}
		}
		for id := range touched {
			none := func(m api.Machine) bool { return m.CloudID == "" }
			if !slices.ContainsFunc(s.c.Status.Machines, none) && slices.ContainsFunc(s.w.Listed,
				func(l plan.ListedMachine) bool { return l.ID == id }) &&
				!strings.Contains(drift(d), string(api.DriftMachineConflict)) {
				return fmt.Errorf("no drift reports that %s does not match\n%s", id, drift(d))
			}
		}
		conflicts += strings.Count(drift(d), string(api.DriftMachineConflict))
		return nil
	})
	if ended < worlds/4 || replaced < worlds/20 || conflicts < worlds {
		t.Errorf("%d terminated, %d replaced, %d conflicts: the random worlds have too few faults", ended, replaced,
			conflicts)
	}
}
