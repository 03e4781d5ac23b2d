package home

import (
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/test/nsmachine"
)

// startMachine starts a machine whose /etc has only the users of this computer.
func startMachine(t *testing.T) *remote.Host {
	t.Helper()
	m := nsmachine.Start(t, nil)
	m.RunShell("mkdir /opt/etc; cp /etc/passwd /etc/group /opt/etc/; mount --bind /opt/etc /etc")
	return m.Host
}

func TestMachineMarkStartsNeverDecrease(t *testing.T) {
	h := startMachine(t)
	exchange := func(ours *Mark) *Mark {
		t.Helper()
		seen, err := ExchangeMarks(t.Context(), h, ours)
		if err != nil {
			t.Fatal(err)
		}
		return seen
	}
	mark := func(p Location, starts int64, start string) *Mark {
		m := MarkOf(at(p, starts, start))
		return &m
	}
	if seen := exchange(nil); seen != nil {
		t.Errorf("a new machine has the mark %v", seen)
	}
	first, second, twin := mark(here, 5, "x"), mark(elsewhere, 9, "y"), mark(here, 9, "z")
	if seen := exchange(first); seen != nil {
		t.Errorf("mark before the first write: %v", seen)
	}
	if seen := exchange(second); seen == nil || *seen != *first {
		t.Errorf("seen %v, want %v", seen, first)
	}
	for _, lesser := range []*Mark{first, twin, nil} {
		if seen := exchange(lesser); seen == nil || *seen != *second {
			t.Errorf("seen %v, want %v", seen, second)
		}
	}
	strange := *first
	strange.Installation = "another's, with 'quotes'"
	exchange(&strange)
	if seen := exchange(nil); seen == nil || seen.Installation != strange.Installation {
		t.Errorf("the mark of another installation was not replaced: %v", seen)
	}
	mode, err := h.RunScript(t.Context(), "looking", "stat -c %a "+MarkFile+"; ls /etc/skyctl")
	if err != nil || strings.Fields(string(mode))[0] != "644" || len(strings.Fields(string(mode))) != 2 {
		t.Errorf("the file is %s, %v", mode, err)
	}
}
