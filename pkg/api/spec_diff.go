package api

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// DiffSpec names the fields in which a requested spec differs from that of a cluster, with both values. Two spellings
// of the same value do not differ. A create that does not set a field with a setting keeps the cluster's value.
func DiffSpec(have, want GroupSpec) []string {
	have.SetDefaults()
	want.SetDefaults()
	if (have.Accelerators == "") != (want.Accelerators == "") {
		have.GPUStack = want.GPUStack // follows from the accelerators, which differ already
	}
	var diff []string
	for _, f := range Fields {
		is, wanted := f.text(have), f.text(want)
		if is == wanted || f.Setting != "" && wanted == "" || f.isEqual != nil && f.isEqual(is, wanted) {
			continue
		}
		diff = append(diff, fmt.Sprintf("%s is %s, requested is %s", f.Name, valueOrUnset(is), valueOrUnset(wanted)))
	}
	return diff
}

func valueOrUnset(s string) string {
	if s == "" {
		return "unset"
	}
	return SummarizeText(s)
}

// SummarizeText returns a value for a line of text. Of a value of several lines, such as certificates, it shows what
// tells it from others: its first line, the number of lines, and the beginning of its SHA-256.
func SummarizeText(s string) string {
	first, rest, several := strings.Cut(strings.TrimSpace(s), "\n")
	if !several {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return fmt.Sprintf("%s … (%d lines, SHA-256 %x…)", first, 2+strings.Count(rest, "\n"), sum[:4])
}
