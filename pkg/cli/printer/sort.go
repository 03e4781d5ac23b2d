package printer

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SortedOrder returns the numbers of objects in the order of what each has at a path: numbers by size, times by date,
// texts as people count, sky-dev-2 before sky-dev-10. Objects without a value come first. An empty path keeps the
// order. An error says that the path is not one, or that no object has a value there.
func SortedOrder[T any](objects []T, path string) ([]int, error) {
	order := make([]int, len(objects))
	for i := range order {
		order[i] = i
	}
	if path == "" {
		return order, nil
	}
	parsed, err := newPath(path)
	if err != nil {
		return nil, fmt.Errorf("must be the path of a field, such as .metadata.name (%w)", err)
	}
	keys := make([]any, len(objects))
	found := len(objects) == 0
	for i, object := range objects {
		content, err := toContent(object)
		if err != nil {
			return nil, err
		}
		results, err := parsed.FindResults(content)
		if err != nil {
			return nil, fmt.Errorf("must be the path of a field, such as .metadata.name (%w)", err)
		}
		if len(results) > 0 && len(results[0]) > 0 {
			keys[i], found = results[0][0].Interface(), true
		}
	}
	if !found {
		return nil, errors.New("must be the path of a field that the objects have, as -o json shows them")
	}
	slices.SortStableFunc(order, func(a, b int) int { return compareValues(keys[a], keys[b]) })
	return order, nil
}

// compareValues compares two values of JSON.
func compareValues(a, b any) int {
	if a == nil || b == nil {
		return cmp.Compare(btoi(a != nil), btoi(b != nil))
	}
	if x, ok := toNumber(a); ok {
		if y, ok := toNumber(b); ok {
			return cmp.Compare(x, y)
		}
	}
	s, t := fmt.Sprint(a), fmt.Sprint(b)
	if x, err := time.Parse(time.RFC3339, s); err == nil {
		if y, err := time.Parse(time.RFC3339, t); err == nil {
			return x.Compare(y)
		}
	}
	return compareNatural(s, t)
}

func btoi(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func toNumber(v any) (float64, bool) {
	switch n := v.(type) {
	case int64:
		return float64(n), true
	case float64:
		return n, true
	case bool:
		return float64(btoi(n)), true
	}
	return 0, false
}

// compareNatural compares texts part by part; parts of digits count as numbers.
func compareNatural(a, b string) int {
	for a != "" && b != "" {
		partA, restA := cutPart(a)
		partB, restB := cutPart(b)
		x, errA := strconv.ParseUint(partA, 10, 64)
		y, errB := strconv.ParseUint(partB, 10, 64)
		order := strings.Compare(partA, partB)
		if errA == nil && errB == nil && x != y {
			order = cmp.Compare(x, y)
		}
		if order != 0 {
			return order
		}
		a, b = restA, restB
	}
	return cmp.Compare(len(a), len(b))
}

// cutPart cuts the first part off a text: its leading digits, or all before the first digit.
func cutPart(s string) (part, rest string) {
	isDigit := func(c byte) bool { return '0' <= c && c <= '9' }
	end := 1
	for end < len(s) && isDigit(s[end]) == isDigit(s[0]) {
		end++
	}
	return s[:end], s[end:]
}
