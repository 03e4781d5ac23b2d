// Package spelling finds which known name a misspelt one means. It is pure.
package spelling

import "strings"

const (
	// shortNameLength: the first letter of a name that is not longer is never wrong.
	shortNameLength = 4
	// MaxTypos is the largest distance that EditDistance computes.
	MaxTypos = 3
)

// FindNearest returns the known name that a name probably means. The name can have dots, dashes or underscores, or one
// or two wrong letters. The result is empty if no known name is similar.
func FindNearest(name string, known []string) string {
	best, bestDistance := "", 0
	meant := NormalizeName(name)
	for _, candidate := range known {
		own := NormalizeName(candidate)
		distance := EditDistance(meant, own)
		if distance > allowedTypos(own) || len(own) <= shortNameLength && meant[:min(1, len(meant))] != own[:1] {
			continue
		}
		if best == "" || distance < bestDistance {
			best, bestDistance = candidate, distance
		}
	}
	return best
}

// allowedTypos is the number of wrong letters that a similar name can have.
func allowedTypos(name string) int { return min(2, len(name)/3) }

// NormalizeName removes case and separators from a name.
func NormalizeName(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '.' || r == '_' || r == '-' {
			return -1
		}
		return r
	}, strings.ToLower(name))
}

// EditDistance is the number of letters to insert, remove, replace, or swap with their neighbour. Names whose lengths
// differ by more than MaxTypos are not compared, because one of them can be very long.
func EditDistance(a, b string) int {
	if max(len(a), len(b))-min(len(a), len(b)) > MaxTypos {
		return MaxTypos + 1
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replaceCost := 1
			if a[i-1] == b[j-1] {
				replaceCost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+replaceCost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
