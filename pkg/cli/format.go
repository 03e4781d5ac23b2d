package cli

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// formatNumber writes two decimals at most and one at least: 2.01, 4.0.
func formatNumber(v float64) string {
	s := strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

func formatAmount(a api.Amount, unit string) string {
	return formatNumber(a.Available) + unit + "/" + formatNumber(a.Total) + unit
}

// resourceLines has one line per resource, available/total; {} where nothing is known yet.
func resourceLines(r api.Resources) []string {
	var lines []string
	if r.CPUs.Total > 0 {
		lines = append(lines, "cpus: "+formatAmount(r.CPUs, ""))
	}
	if r.Memory.Total > 0 {
		lines = append(lines, "memory: "+formatAmount(r.Memory, " GB"))
	}
	if r.Disk.Total > 0 {
		lines = append(lines, "disk: "+formatAmount(r.Disk, " GB"))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Accelerators)) {
		lines = append(lines, name+": "+formatAmount(r.Accelerators[name], ""))
	}
	if lines == nil {
		return []string{"{}"}
	}
	return lines
}

func labelLines(labels map[string]string) []string {
	var lines []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		lines = append(lines, printable.Line(k+": "+labels[k]))
	}
	return lines
}

// formatAge is a duration in its largest whole unit: 10s, 4m, 3h, 12d.
func formatAge(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}

// formatDuration is a duration to the second, for work that a person watches: 42s, 3m07s, 1h02m.
func formatDuration(d time.Duration) string {
	d = max(d, 0)
	switch s := int(d.Seconds()); {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	default:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	}
}

func formatAgeSince(now, t time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	return formatAge(now.Sub(t))
}

// formatTime is a point in time with how long ago it was.
func formatTime(now, t time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	return fmt.Sprintf("%s (%s ago)", t.UTC().Format(time.RFC3339), formatDuration(now.Sub(t)))
}

// formatDollars writes a price or a cost at a place; where machines cost nothing it is free.
func formatDollars(v float64, at *api.Placement) string {
	switch {
	case v == 0 && at.PricePerMachine == 0:
		return "free"
	case v > 0 && v < 0.1:
		return fmt.Sprintf("$%.4f", v)
	default:
		return fmt.Sprintf("$%.2f", v)
	}
}

func formatCount(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

func valueOrDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
