package api

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// PortRange is the ports from First to Last, both included. They are equal for a single port.
type PortRange struct{ First, Last int }

func (p PortRange) String() string {
	if p.First == p.Last {
		return strconv.Itoa(p.First)
	}
	return fmt.Sprintf("%d-%d", p.First, p.Last)
}

// ParsePorts parses the values of --ports, each a port (8080) or a range (30000-30100), and sorts them. A port must not
// occur twice. The errors are *FieldErrors, joined.
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

// formatPorts is the inverse of ParsePorts.
func formatPorts(ranges []PortRange) []string {
	var all []string
	for _, r := range ranges {
		all = append(all, r.String())
	}
	return all
}

const wantPort = "a port from 1 to 65535, such as 8080, or a range, such as 30000-30100"

// parsePortRange returns the range, or what would be valid.
func parsePortRange(s string) (PortRange, string) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	first, ok1 := parseWholeNumber(from)
	last, ok2 := parseWholeNumber(to)
	switch {
	case !ok1 || !ok2 || len(validation.IsValidPortNum(first))+len(validation.IsValidPortNum(last)) > 0:
		return PortRange{}, wantPort
	case first > last:
		return PortRange{}, fmt.Sprintf("a range from the lower port to the higher: %d-%d", last, first)
	}
	return PortRange{First: first, Last: last}, ""
}
