package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// row is one line of the table.
type row struct {
	what   string
	value  string // with its spread
	target string // empty: measured for its own sake
	ratio  string // to the baseline that is named in it
	met    bool
}

// sample is a series of measurements of one thing.
type sample []float64

func (s *sample) add(v float64)           { *s = append(*s, v) }
func (s *sample) took(since time.Time)    { s.add(float64(time.Since(since)) / float64(time.Millisecond)) }
func (s sample) sorted() []float64        { return slices.Sorted(slices.Values(s)) }
func (s sample) least() float64           { return slices.Min(s) }
func (s sample) most() float64            { return slices.Max(s) }
func (s sample) over(base sample) float64 { return s.median() / base.median() }

// median is the middle, or the mean of the two in the middle.
func (s sample) median() float64 {
	v := s.sorted()
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// millis and seconds show a sample of milliseconds: the median, and between which values all were.
func (s sample) millis() string {
	return fmt.Sprintf("%.1f ms (%.1f-%.1f, n=%d)", s.median(), s.least(), s.most(), len(s))
}

func (s sample) seconds() string {
	return fmt.Sprintf("%.2f s (%.2f-%.2f, n=%d)", s.median()/1000, s.least()/1000, s.most()/1000, len(s))
}

func (s sample) megabytes() string {
	return fmt.Sprintf("%.0f MB (%.0f-%.0f, n=%d)", s.median(), s.least(), s.most(), len(s))
}

// ratioTo says how many times the baseline's median a sample's is.
func (s sample) ratioTo(base sample, name string) string {
	return fmt.Sprintf("%.2f x %s", s.over(base), name)
}

func (r row) verdict() string {
	switch {
	case r.target == "":
		return "-"
	case r.met:
		return "met"
	}
	return "MISSED"
}

func missed(rows []row) bool {
	return slices.ContainsFunc(rows, func(r row) bool { return r.target != "" && !r.met })
}

// report is what a run prints: where and when, and the table.
func report(where string, rows []row) string {
	var s strings.Builder
	fmt.Fprintln(&s, where)
	w := tabwriter.NewWriter(&s, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHAT\tMEDIAN (LEAST-MOST)\tTARGET\tRATIO TO BASELINE\tVERDICT")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.what, r.value, orDash(r.target), orDash(r.ratio), r.verdict())
	}
	_ = w.Flush() // into memory
	return s.String()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
