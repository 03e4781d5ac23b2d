package spelling_test

import (
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/spelling"
)

func TestTheNearestNameIsFound(t *testing.T) {
	known := []string{"cpus", "memory", "max_hourly_cost", "zone", "name"}
	for name, want := range map[string]string{
		"cpu": "cpus", "cpsu": "cpus", "maxHourlyCost": "max_hourly_cost", "max-hourly-cots": "max_hourly_cost",
		"mem": "", "zones": "zone", "bone": "", "tame": "", "": "", strings.Repeat("cpus", 1000): "",
	} {
		if got := spelling.FindNearest(name, known); got != want {
			t.Errorf("%.20s: %q, want %q", name, got, want)
		}
	}
}

func TestNeighboursThatAreSwappedAreOneTypo(t *testing.T) {
	for pair, want := range map[[2]string]int{{"abc", "abc"}: 0, {"abc", "acb"}: 1, {"abc", "abcd"}: 1,
		{"abc", "xyz"}: 3, {"a", "abcdefg"}: spelling.MaxTypos + 1} {
		if got := spelling.EditDistance(pair[0], pair[1]); got != want {
			t.Errorf("%v: %d, want %d", pair, got, want)
		}
	}
}
