package render

import (
	"testing"
	"time"
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
