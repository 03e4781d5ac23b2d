package computer

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

func TestEveryCheckIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Za-z]+)` \\|").FindAllSubmatch(page, -1) {
		documented = append(documented, string(row[1]))
	}
	want := slices.Clone(Checks)
	slices.Sort(want)
	slices.Sort(documented)
	if !slices.Equal(documented, want) {
		t.Errorf("docs/troubleshooting.md explains\n%v, checks are\n%v", documented, want)
	}
}
