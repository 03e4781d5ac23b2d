package render

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // zones also where the system has none

	"github.com/sky-shift/skyctl/test/fixture"
)

func TestNumbersAndDurationsAreReadable(t *testing.T) {
	for v, want := range map[float64]string{4: "4.0", 2.01: "2.01", 12.666: "12.67", 0.1: "0.1", 31.999: "32.0",
		0: "0.0"} {
		if got := formatNumber(v); got != want {
			t.Errorf("number(%v) = %s, want %s", v, got, want)
		}
	}
	for d, want := range map[time.Duration]string{-time.Second: "0s", 10 * time.Second: "10s", 297 * time.Second: "4m",
		3 * time.Hour: "3h", 50 * time.Hour: "2d"} {
		if got := formatAge(d); got != want {
			t.Errorf("age(%v) = %s, want %s", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{42 * time.Second: "42s", 187 * time.Second: "3m07s",
		62 * time.Minute: "1h02m"} {
		if got := FormatDuration(d); got != want {
			t.Errorf("span(%v) = %s, want %s", d, got, want)
		}
	}
}

func TestTimesAreInTheZoneOfNow(t *testing.T) {
	summer := time.Date(2026, 7, 1, 22, 30, 0, 0, time.UTC)
	for zone, want := range map[string]string{
		"UTC": "2026-07-01 22:30:00 UTC", "Europe/Berlin": "2026-07-02 00:30:00 CEST",
		"America/New_York": "2026-07-01 18:30:00 EDT", "Asia/Dubai": "2026-07-02 02:30:00 +04",
	} {
		place, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		if got := FormatMoment(fixture.Noon.In(place), summer); got != want {
			t.Errorf("%s: %s, want %s", zone, got, want)
		}
		page := NewSnapshotTable(fixture.NewSnapshots(), nil, true, fixture.Noon.In(place)).String()
		if zone != "UTC" && strings.Contains(page, "UTC") {
			t.Errorf("%s: times of another zone in\n%s", zone, page)
		}
	}
}
