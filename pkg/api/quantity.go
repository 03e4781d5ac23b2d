package api

import (
	"fmt"
	"strconv"
	"strings"
)

// Limits of what one machine can request. A larger value is a typing error.
const (
	MaxCPUs      = 4096
	MaxMemoryGiB = 65536
	MaxDiskGiB   = 65536
)

// Quantity is how much of a resource a machine has: exactly Value, or at least that much. The zero value leaves it
// open.
type Quantity struct {
	Value   int
	AtLeast bool
}

func (q Quantity) String() string {
	if q.AtLeast {
		return strconv.Itoa(q.Value) + "+"
	}
	return strconv.Itoa(q.Value)
}

// IsSet reports whether the quantity is not left open.
func (q Quantity) IsSet() bool { return q.Value > 0 }

// IsMetBy reports whether a machine with this much satisfies the quantity.
func (q Quantity) IsMetBy(has float64) bool {
	return has == float64(q.Value) || q.AtLeast && has > float64(q.Value)
}

// ParseQuantity parses "4" (exactly 4) or "4+" (at least 4): a whole number above 0 without a unit.
func ParseQuantity(s string) (Quantity, error) {
	digits, atLeast := strings.CutSuffix(s, "+")
	n, ok := parseWholeNumber(digits)
	if !ok || n < 1 {
		return Quantity{}, fmt.Errorf("%q is neither a whole number above 0, such as 4, nor one with a plus for at "+
			"least, such as 4+", s)
	}
	return Quantity{Value: n, AtLeast: atLeast}, nil
}

// ParseCPUs parses --cpus. Its error is a *FieldError.
func ParseCPUs(s string) (Quantity, error) {
	q, err := ParseQuantity(s)
	if err != nil || q.Value > MaxCPUs {
		return Quantity{}, &FieldError{Field: "cpus", Value: s, Want: wantCPUs}
	}
	return q, nil
}

// ParseMemory parses --memory in GiB per machine: 16, 16+, or the same with the unit (16GiB, 16Gi, 16GiB+). Its error
// is a *FieldError.
func ParseMemory(s string) (Quantity, error) {
	digits, atLeast := strings.CutSuffix(s, "+")
	n, ok := parseWholeNumber(trimGiBUnit(digits))
	if !ok || n < 1 || n > MaxMemoryGiB {
		return Quantity{}, &FieldError{Field: "memory", Value: s, Want: wantMemory + unitHint(digits)}
	}
	return Quantity{Value: n, AtLeast: atLeast}, nil
}

// ParseDiskSize parses --disk_size in GiB per machine: 100, 100GiB or 100Gi. Its error is a *FieldError.
func ParseDiskSize(s string) (int, error) {
	n, ok := parseWholeNumber(trimGiBUnit(s))
	if !ok || n < 1 || n > MaxDiskGiB {
		return 0, &FieldError{Field: "disk_size", Value: s, Want: wantDisk + unitHint(s)}
	}
	return n, nil
}

var (
	wantCPUs = fmt.Sprintf("a whole number of CPUs per machine from 1 to %d, such as 4, or 4+ for at least 4",
		MaxCPUs)
	wantMemory = fmt.Sprintf("memory per machine in whole GiB from 1 to %d, such as 16, or 16+ for at least 16",
		MaxMemoryGiB)
	wantDisk = fmt.Sprintf("disk per machine in whole GiB from 1 to %d, such as 100", MaxDiskGiB)
)

func trimGiBUnit(s string) string {
	if bare, ok := strings.CutSuffix(s, "GiB"); ok {
		return bare
	}
	return strings.TrimSuffix(s, "Gi")
}

// unitHint adds to an error that sizes have one unit only, if s has another one.
func unitHint(s string) string {
	unit := strings.TrimLeft(s, "0123456789.")
	if unit == s || unit == "" || unit == "GiB" || unit == "Gi" {
		return ""
	}
	return "; sizes are always in GiB, the unit can be left out"
}

// parseWholeNumber accepts digits only: no sign, no exponent, no space, no leading zero.
func parseWholeNumber(s string) (int, bool) {
	if s == "" || len(s) > 1 && s[0] == '0' || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}
