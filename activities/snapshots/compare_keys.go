package snapshots

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// maxDifferences bounds the differences that a message names.
const maxDifferences = 5

// compareKeys returns how the numbers of keys that were counted differ from those that a snapshot should have, by
// prefix: a sentence for people; empty if they are the same.
func compareKeys(want, got map[string]int64) string {
	var different []string
	for prefix := range want {
		if got[prefix] != want[prefix] {
			different = append(different, prefix)
		}
	}
	for prefix, n := range got {
		if _, known := want[prefix]; !known && n != 0 {
			different = append(different, prefix)
		}
	}
	if len(different) == 0 {
		return ""
	}
	slices.Sort(different)
	var named []string
	for _, prefix := range different[:min(maxDifferences, len(different))] {
		named = append(named, fmt.Sprintf("%s has %d keys instead of %d", prefix, got[prefix], want[prefix]))
	}
	text := strings.Join(named, "; ")
	if more := len(different) - len(named); more > 0 {
		text += fmt.Sprintf("; and %d more prefixes", more)
	}
	return text
}

func sumKeys(keys map[string]int64) (total int64) {
	for n := range maps.Values(keys) {
		total += n
	}
	return total
}
