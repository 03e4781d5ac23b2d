package faults

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// page describes the lab and has its results.
const page = "../../docs/reliability.md"

func readPage(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestPageNamesTheActivitiesWithoutAKill compares the page with unkilled.
func TestPageNamesTheActivitiesWithoutAKill(t *testing.T) {
	byReason := map[string][]string{}
	for name, why := range unkilled {
		byReason[why] = append(byReason[why], "`"+name+"`")
	}
	var rows []string
	for why, names := range byReason {
		slices.Sort(names)
		rows = append(rows, "| "+strings.Join(names, ", ")+" | "+why+" |\n")
	}
	slices.Sort(rows)
	want := "| activity | why |\n|---|---|\n" + strings.Join(rows, "")
	if !strings.Contains(readPage(t), "\n"+want+"\n") {
		t.Errorf("%s lacks this table:\n%s", page, want)
	}
}

// TestPageHasResultsOfEveryFault looks for a row of each scene and each fault. To add the rows that are missing:
// go test ./test/faults -run NAME -report ../../docs/reliability.md.
func TestPageHasResultsOfEveryFault(t *testing.T) {
	_, table, _ := strings.Cut(readPage(t), opening)
	for _, s := range allScenes() {
		if !strings.Contains(table, " ("+s.name+") | ") {
			t.Errorf("%s has no kill of: %s", page, s.name)
		}
	}
	for _, f := range allFaults() {
		if !strings.Contains(table, "| "+f.kind+" | "+f.name+" | ") {
			t.Errorf("%s has no result of: %s, %s", page, f.kind, f.name)
		}
	}
}
