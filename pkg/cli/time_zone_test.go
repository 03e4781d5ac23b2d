package cli

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // TZ names a zone also where the system has none
)

// runInZone runs a command in a process of its own, as a person in another time zone.
func (p *testUser) runInZone(zone string, args ...string) string {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), os.Args[0], args...)
	cmd.Env = []string{asSkyctl + "=1", "HOME=" + p.t.TempDir(), "TZ=" + zone}
	for k, v := range p.env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("%v: %v: %s", args, err, out)
	}
	return string(out)
}

func TestTimesAreLocalForPeopleAndUTCForPrograms(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	before := time.Now().Truncate(time.Second)
	p.createReady("zoned")
	created := regexp.MustCompile(`Created: +(\S+ \S+) (\S+) \(`)
	for zone, name := range map[string]string{"Asia/Tokyo": "JST", "America/Phoenix": "MST", "Asia/Dubai": "+04",
		"UTC": "UTC"} {
		place, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		page := p.runInZone(zone, "describe", "cluster", "zoned")
		shown := created.FindStringSubmatch(page)
		if shown == nil || shown[2] != name {
			t.Fatalf("%s: no time of the creation in\n%s", zone, page)
		}
		at, err := time.ParseInLocation(time.DateTime, shown[1], place)
		if err != nil || at.Before(before) || at.After(time.Now()) {
			t.Errorf("%s: created %s (%v), which is not after %s", zone, shown[0], err, before)
		}
		for _, format := range []string{"json", "yaml"} {
			checkTimesInUTC(t, p.runInZone(zone, "get", "cluster", "zoned", "-o", format))
		}
	}
}

// anyTime matches a time of RFC 3339 in any zone.
var anyTime = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`)

// checkTimesInUTC fails unless there are times, and all are in UTC.
func checkTimesInUTC(t *testing.T, text string) {
	t.Helper()
	times := anyTime.FindAllString(text, -1)
	for _, at := range times {
		if !strings.HasSuffix(at, "Z") {
			t.Errorf("%s is not in UTC", at)
		}
	}
	if len(times) == 0 {
		t.Errorf("no times in %s", text)
	}
}
