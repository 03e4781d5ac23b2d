package snapshots

import (
	"fmt"
	"strings"
	"testing"
)

func TestKeysOfEachPrefixHaveToBeThere(t *testing.T) {
	want := map[string]int64{"/registry/pods": 3, "/registry/secrets": 2, "other": 1}
	for name, tt := range map[string]struct {
		got  map[string]int64
		want string
	}{
		"the same": {map[string]int64{"/registry/pods": 3, "/registry/secrets": 2, "other": 1}, ""},
		"an empty prefix": {map[string]int64{"/registry/pods": 3, "/registry/secrets": 2, "other": 1,
			"/registry/x": 0}, ""},
		"one less": {map[string]int64{"/registry/pods": 2, "/registry/secrets": 2, "other": 1},
			"/registry/pods has 2 keys instead of 3"},
		"a missing prefix": {map[string]int64{"/registry/pods": 3, "other": 1},
			"/registry/secrets has 0 keys instead of 2"},
		"an unknown prefix": {map[string]int64{"/registry/pods": 3, "/registry/secrets": 2, "other": 1,
			"/registry/x": 4}, "/registry/x has 4 keys instead of 0"},
		"as many in all": {map[string]int64{"/registry/pods": 2, "/registry/secrets": 3, "other": 1},
			"/registry/pods has 2 keys instead of 3; /registry/secrets has 3 keys instead of 2"},
	} {
		if got := compareKeys(want, tt.got); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
	many := map[string]int64{}
	for i := range 8 {
		many[fmt.Sprintf("/registry/%d", i)] = 1
	}
	if got := compareKeys(many, nil); strings.Count(got, "instead") != maxDifferences ||
		!strings.HasSuffix(got, "and 3 more prefixes") {
		t.Errorf("many: %q", got)
	}
}
