package home

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/test/needs"
	"github.com/sky-shift/skyctl/test/sshserver"
)

// machine is this machine with an /etc of the test's own, reached over SSH.
func machine(t *testing.T) *remote.Host {
	t.Helper()
	needs.Root(t)
	ns := exec.CommandContext(t.Context(), "unshare", "--mount", "--propagation", "private", "sh", "-ec",
		`mount -t tmpfs tmpfs /opt; mkdir /opt/etc; cp /etc/passwd /etc/group /opt/etc/; mount --bind /opt/etc `+
			`/etc; echo up; exec sleep infinity`)
	out, err := ns.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	ns.Stderr = os.Stderr
	if err := ns.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Process.Kill(); _ = ns.Wait() })
	if _, err := out.Read(make([]byte, 3)); err != nil {
		t.Fatalf("this test needs root, for a mount namespace: %v", err)
	}
	s := sshserver.Start(t)
	s.Enter = []string{"nsenter", "--mount", "--target", fmt.Sprint(ns.Process.Pid)}
	h, err := remote.Dial(t.Context(), s.Target, s.Key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func TestMarksOnAMachineOnlyGrow(t *testing.T) {
	h := machine(t)
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
		t.Errorf("a new machine has %v", seen)
	}
	first, second, twin := mark(here, 5, "x"), mark(elsewhere, 9, "y"), mark(here, 9, "z")
	if seen := exchange(first); seen != nil {
		t.Errorf("before the first mark there was %v", seen)
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
		t.Errorf("the mark of a machine's former owner stays: %v", seen)
	}
	mode, err := h.RunScript(t.Context(), "looking", "stat -c %a "+MarkFile+"; ls /etc/skyctl")
	if err != nil || strings.Fields(string(mode))[0] != "644" || len(strings.Fields(string(mode))) != 2 {
		t.Errorf("the file is %s, %v", mode, err)
	}
}
