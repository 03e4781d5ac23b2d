package api

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// PortRange is the ports from First to Last, both included; a single one is both.
type PortRange struct{ First, Last int }

func (p PortRange) String() string {
	if p.First == p.Last {
		return strconv.Itoa(p.First)
	}
	return fmt.Sprintf("%d-%d", p.First, p.Last)
}

// ParsePorts reads the values of --ports, each a port (8080) or a range of them (30000-30100), and returns them in
// order. No port may be named twice. Its errors are *FieldErrorsOf, joined.
func ParsePorts(values []string) ([]PortRange, error) {
	var ranges []PortRange
	var errs fieldErrors
	for _, s := range values {
		r, want := parsePortRange(strings.TrimSpace(s))
		if want != "" {
			errs.addField("ports", s, want)
			continue
		}
		ranges = append(ranges, r)
	}
	slices.SortStableFunc(ranges, func(a, b PortRange) int { return cmp.Compare(a.First, b.First) })
	for i := 1; i < len(ranges); i++ {
		before, r := ranges[i-1], ranges[i]
		switch {
		case r == before:
			errs.addField("ports", r.String(), "each port once; it is named twice")
		case r.First <= before.Last:
			errs.addField("ports", r.String(), fmt.Sprintf("each port once; it overlaps %s", before))
		}
	}
	if err := errs.joinErrors(); err != nil {
		return nil, err
	}
	return ranges, nil
}

func parsePortRange(s string) (PortRange, string) {
	const want = "a port from 1 to 65535, such as 8080, or a range of them, such as 30000-30100"
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	first, ok1 := parseWholeNumber(from)
	last, ok2 := parseWholeNumber(to)
	switch {
	case !ok1 || !ok2 || first < 1 || last < 1 || first > 65535 || last > 65535:
		return PortRange{}, want
	case first > last:
		return PortRange{}, fmt.Sprintf("a range from the lower port to the higher: %d-%d", last, first)
	}
	return PortRange{First: first, Last: last}, ""
}
