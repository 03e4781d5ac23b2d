package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// resultRow is one line of the table.
type resultRow struct {
	what   string
	value  string // with its spread
	target string // empty if there is no target
	ratio  string // to the baseline that it names
	met    bool
}

// sample is a series of measurements of one thing.
type sample []float64

func (s *sample) addValue(v float64) { *s = append(*s, v) }
func (s *sample) addElapsed(since time.Time) {
	s.addValue(float64(time.Since(since)) / float64(time.Millisecond))
}
func (s sample) sortedValues() []float64         { return slices.Sorted(slices.Values(s)) }
func (s sample) minValue() float64               { return slices.Min(s) }
func (s sample) maxValue() float64               { return slices.Max(s) }
func (s sample) medianRatio(base sample) float64 { return s.median() / base.median() }

// median returns the middle value, or the mean of the two middle values.
func (s sample) median() float64 {
	v := s.sortedValues()
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// formatMillis and seconds show a sample of milliseconds: the median, and between which values all were.
func (s sample) formatMillis() string {
	return fmt.Sprintf("%.1f ms (%.1f-%.1f, n=%d)", s.median(), s.minValue(), s.maxValue(), len(s))
}

func (s sample) formatSeconds() string {
	return fmt.Sprintf("%.2f s (%.2f-%.2f, n=%d)", s.median()/1000, s.minValue()/1000, s.maxValue()/1000, len(s))
}

func (s sample) formatMegabytes() string {
	return fmt.Sprintf("%.0f MB (%.0f-%.0f, n=%d)", s.median(), s.minValue(), s.maxValue(), len(s))
}

// formatRatio formats the ratio of a sample's median to that of the baseline.
func (s sample) formatRatio(base sample, name string) string {
	return fmt.Sprintf("%.2f x %s", s.medianRatio(base), name)
}

func (r resultRow) targetVerdict() string {
	switch {
	case r.target == "":
		return "-"
	case r.met:
		return "met"
	}
	return "MISSED"
}

func anyTargetMissed(rows []resultRow) bool {
	return slices.ContainsFunc(rows, func(r resultRow) bool { return r.target != "" && !r.met })
}

// renderReport returns the output of a run: when, where, and the table.
func renderReport(where string, rows []resultRow) string {
	var s strings.Builder
	fmt.Fprintln(&s, where)
	w := tabwriter.NewWriter(&s, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHAT\tMEDIAN (LEAST-MOST)\tTARGET\tRATIO TO BASELINE\tVERDICT")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.what, r.value, orDash(r.target), orDash(r.ratio), r.targetVerdict())
	}
	_ = w.Flush() // writing to memory does not fail
	return s.String()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
