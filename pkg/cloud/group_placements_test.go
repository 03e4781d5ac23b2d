package cloud_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// places reads "region/zone:price" texts.
func places(t *testing.T, texts string) []api.Placement {
	t.Helper()
	var all []api.Placement
	for _, text := range strings.Fields(texts) {
		p := api.Placement{Cloud: "sim"}
		var rest string
		p.Region, rest, _ = strings.Cut(text, "/")
		var price string
		p.Zone, price, _ = strings.Cut(rest, ":")
		if _, err := fmt.Sscan(price, &p.PricePerMachine); err != nil {
			t.Fatal(text, err)
		}
		all = append(all, p)
	}
	return all
}

func TestGroupsAreCombinedInOneRegionByTotalPrice(t *testing.T) {
	for name, test := range map[string]struct {
		counts []int
		groups []string
		want   string
	}{
		"one group keeps its order": {[]int{3}, []string{"east/a:1 west/a:2 east/b:3"}, "east/a; west/a; east/b"},
		"the total decides": {[]int{1, 4}, []string{"east/a:1 west/a:2", "west/b:3 east/b:4"},
			"west/a west/b; east/a east/b"},
		"a region that one group lacks": {[]int{1, 1}, []string{"east/a:1 west/a:9", "west/b:9"}, "west/a west/b"},
		"further choices": {[]int{1, 2}, []string{"east/a:1 east/b:2", "east/a:1 east/b:2 east/c:3"},
			"east/a east/a; east/b east/b; east/b east/c"},
		"a dear zone after another region": {[]int{1, 1}, []string{"east/a:1 west/a:2", "east/a:1 east/b:9 west/a:2"},
			"east/a east/a; west/a west/a; east/a east/b"},
		"no region for all": {[]int{1, 1}, []string{"east/a:1", "west/a:1"}, ""},
		"no groups":         {nil, nil, ""},
		"equal prices keep the order of the first group": {[]int{1, 1}, []string{"west/a:1 east/a:1",
			"east/a:1 west/a:1"}, "west/a west/a; east/a east/a"},
	} {
		t.Run(name, func(t *testing.T) {
			var groups []cloud.RankedGroup
			for i, count := range test.counts {
				groups = append(groups, cloud.RankedGroup{Count: count, Placements: places(t, test.groups[i])})
			}
			var got []string
			for _, combination := range cloud.CombinePlacements(groups) {
				var one []string
				for _, p := range combination {
					one = append(one, p.Region+"/"+p.Zone)
				}
				got = append(got, strings.Join(one, " "))
			}
			if all := strings.Join(got, "; "); all != test.want {
				t.Errorf("got %s, want %s", all, test.want)
			}
		})
	}
}

func TestPlacementsThatFailedComeLast(t *testing.T) {
	ranked := places(t, "east/a:1 east/b:2 east/c:3 east/d:4")
	failed := func(indexes ...int) []api.FailedPlacement {
		var all []api.FailedPlacement
		for _, i := range indexes {
			p := ranked[i]
			p.PricePerMachine = 7 // it had another price then
			all = append(all, api.FailedPlacement{Placement: p})
		}
		return all
	}
	for want, before := range map[string][]api.FailedPlacement{
		"abcd": nil, "bcda": failed(0), "bdca": failed(2, 0), "acdb": failed(1, 1),
		"dcba": failed(3, 2, 1, 0), "cdba": failed(0, 1, 0),
	} {
		var got string
		for _, p := range cloud.PostponeFailed(ranked, before) {
			got += p.Zone
		}
		if got != want {
			t.Errorf("after %d failures: %s, want %s", len(before), got, want)
		}
	}
}
