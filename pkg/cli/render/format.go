package render

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

func formatYesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// formatNumber has one or two decimals: 2.01, 4.0.
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

// seedUnit is the unit in the column RESOURCES. The seed document writes GB for GiB there.
const seedUnit = " GB"

// resourceLines has one line per resource, available/total, with unit for GiB; {} if nothing is known yet.
func resourceLines(r api.Resources, unit string) []string {
	var lines []string
	if r.CPUs.Total > 0 {
		lines = append(lines, "cpus: "+formatAmount(r.CPUs, ""))
	}
	if r.Memory.Total > 0 {
		lines = append(lines, "memory: "+formatAmount(r.Memory, unit))
	}
	if r.Disk.Total > 0 {
		lines = append(lines, "disk: "+formatAmount(r.Disk, unit))
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

// formatAge is a duration in its largest unit: 10s, 4m, 3h, 12d. (duration.ShortHumanDuration turns 365d into 1y.)
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

// FormatDuration keeps the seconds below an hour, for work that a person watches: 42s, 3m07s, 1h02m.
// (duration.HumanDuration drops them after ten minutes, so a counter would look stuck.)
func FormatDuration(d time.Duration) string {
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

// FormatMoment is a time for a person: in the time zone of now, with the name of the zone.
func FormatMoment(now, t time.Time) string {
	return t.In(now.Location()).Format("2006-01-02 15:04:05 MST")
}

// formatTime is a time and how long ago it was.
func formatTime(now, t time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	return fmt.Sprintf("%s (%s ago)", FormatMoment(now, t), FormatDuration(now.Sub(t)))
}

// FormatDollars is a price or cost at a placement; "free" if its machines cost nothing.
func FormatDollars(v float64, at *api.Placement) string {
	switch {
	case v == 0 && at.PricePerMachine == 0:
		return "free"
	case v > 0 && v < 0.1:
		return fmt.Sprintf("$%.4f", v)
	default:
		return fmt.Sprintf("$%.2f", v)
	}
}

// FormatCount is a number with its noun: 1 machine, 3 machines.
func FormatCount(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// ValueOrDash is s, or a dash if it is empty.
func ValueOrDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// FormatPlacement is a placement in one line: aws us-east-1 us-east-1b m5.large.
func FormatPlacement(p api.Placement) string {
	s := p.Cloud
	for _, part := range []string{p.Region, p.Zone, p.InstanceType} {
		if part != "" {
			s += " " + part
		}
	}
	return s
}

// IndentLines indents each line of s by two spaces.
func IndentLines(s string) string {
	var b strings.Builder
	for l := range strings.Lines(s) {
		b.WriteString("  " + l)
	}
	return b.String()
}

// formatEndpoint is the address of the Kubernetes API.
func formatEndpoint(s api.ClusterStatus) string {
	if s.TunnelPort != 0 && s.Endpoint != "" {
		return s.Endpoint + " (through SSH to the head)"
	}
	return s.Endpoint
}
