package access

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLinesBeforeATimeAreLeftOut(t *testing.T) {
	f := &timeFilter{}
	var got []string
	for _, l := range []string{
		"1129 07:30:00|2026-11-29T07:30:00",
		"I1129 07:29:59.9 old", "  goes on", "E1129 07:30:00.0 new", "  its rest",
		`time="2026-11-29T07:29:00.5Z" level=info msg=old`, `time="2026-11-29T07:31:00Z" level=info msg=new`,
		"2026-11-29T07:10:00+0000 old",
	} {
		if f.passesLine(l) {
			got = append(got, l)
		}
	}
	want := "E1129 07:30:00.0 new,  its rest,time=\"2026-11-29T07:31:00Z\" level=info msg=new"
	if strings.Join(got, ",") != want {
		t.Errorf("got %q", got)
	}
}

func TestTimesWithoutAYearAreComparedAcrossItsEnd(t *testing.T) {
	for _, c := range []struct {
		at, since string
		want      bool
	}{
		{"0101 00:10:00", "1231 23:50:00", true}, {"1231 23:59:00", "0101 00:10:00", false},
		{"0611 10:00:00", "0611 10:00:00", true}, {"0610 10:00:00", "0611 09:00:00", false},
	} {
		if got := isSinceInYear(c.at, c.since); got != c.want {
			t.Errorf("%s since %s: %v", c.at, c.since, got)
		}
	}
}

func TestScriptOfALogFileBeginsWithTheTimes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(file, []byte("one\ntwo\nthree\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	script := LogQuery{Unit: "kubelet", Since: time.Minute, Lines: 2}.buildFileScript(file)
	out, err := exec.Command("sh", "-c", script).CombinedOutput()
	lines := strings.Split(string(out), "\n")
	if err != nil || len(lines) != 4 || lines[1] != "two" || lines[2] != "three" {
		t.Fatalf("got %q, %v", out, err)
	}
	klog, iso, _ := strings.Cut(lines[0], "|")
	if !klogTime.MatchString("I"+klog) || !isoTime.MatchString(iso) {
		t.Errorf("got %q", lines[0])
	}
	script = LogQuery{Unit: "kubelet"}.buildFileScript(file + ".absent")
	if out, err := exec.Command("sh", "-c", script).CombinedOutput(); err == nil ||
		!strings.Contains(string(out), "it has no "+file) {
		t.Errorf("got %q, %v", out, err)
	}
}
