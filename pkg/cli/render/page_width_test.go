package render

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/test/golden"
)

// pagesOfFixtures are pages of commands as they are in a pipe; each is a golden file of another test.
func pagesOfFixtures(t *testing.T) map[string]string {
	pages := map[string]string{"change-plan": ChangePlan{PriceBefore: 32.77, PriceAfter: 65.54, Steps: []ChangeStep{
		{Action: "add", Pool: "default", Count: 2, Price: 65.54, Why: "the pool has 3 replicas instead of 1"},
		{Action: "remove", Machine: "sky-train-with-a-long-name-2", Pool: "spot", Count: 1, Price: -0.15,
			Why: "the pool has too many machines, and this one has been unreachable since the last sweep"},
	}}.String()}
	for _, name := range []string{"apply-plan", "check", "check-docker", "check-wide",
		"describe-changing", "describe-drifted", "describe-failed", "describe-kept", "describe-restored",
		"describe-snapshot", "describe-stopped", "machine-report", "sweep-report", "sweep-report-one-drifted"} {
		text, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		pages[name] = string(text)
	}
	return pages
}

func TestPagesFitTheTerminal(t *testing.T) {
	for name, page := range pagesOfFixtures(t) {
		if FitPage(page, 0) != page || FitPage(page, 400) != page {
			t.Errorf("%s changes, though it fits:\n%s", name, FitPage(page, 400))
		}
		for _, width := range []int{80, 140} {
			fitted := FitPage(page, width)
			checkWidth(t, name, fitted, width)
			if fitted != page {
				golden.Compare(t, fmt.Sprintf("widths/%s-%d.txt", name, width), fitted)
			}
		}
	}
}

func TestNoWordOfAPageIsShortened(t *testing.T) {
	for name, page := range pagesOfFixtures(t) {
		want := strings.Fields(page)
		slices.Sort(want)
		for _, width := range []int{40, 60, 80, 100, 140} {
			got := slices.DeleteFunc(strings.Fields(FitPage(page, width)), func(w string) bool {
				return w == strings.TrimSpace(continued)
			})
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%s at %d has other words:\n%s", name, width, FitPage(page, width))
			}
		}
	}
}

func TestColumnsThatDoNotFitAreBelowTheOthers(t *testing.T) {
	const indented = "  NAME      NODE           STATE\n" +
		"  sky-ab-0  sky-ab-0-x7k2  Ready (leaving)\n" +
		"  sky-ab-1  sky-ab-1-x7k2\n"
	want := "  NAME      NODE\n      STATE\n" +
		"  sky-ab-0  sky-ab-0-x7k2\n      Ready (leaving)\n" +
		"  sky-ab-1  sky-ab-1-x7k2\n"
	if got := FitPage(indented, 30); got != want {
		t.Errorf("got\n%s", got)
	}
	labels := "Name:      dev\nEndpoint:  https://a-long-name.of-the.example:6443/\n" +
		"Phase:     READY for a long time, so far\n"
	want = "Name:      dev\nEndpoint:\n    https://a-long-name.of-the.example:6443/\n" +
		"Phase:     READY for a long\n           time, so far\n"
	if got := FitPage(labels, 32); got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestLinesAcrossColumnsAndOfBlanksStay(t *testing.T) {
	broken := strings.Join(wrapSentence(strings.Repeat("words of a message ", 9)), "\n"+strings.Repeat(" ", 13))
	page := "  NAME  FOR  MESSAGE\n" +
		"  dev   1m   " + broken + "\n" +
		"    next: it is replaced\n" +
		"  prod  2m   short\n" +
		"             \n" +
		"  test  3m   short\n"
	got := FitPage(page, 60)
	if !strings.Contains(got, "\n    next: it is replaced\n  prod  2m   short\n\n  test  3m   short\n") {
		t.Errorf("got\n%s", got)
	}
	checkWidth(t, "lines across", got, 60)
}

func TestPlacementTableKeepsItsPrices(t *testing.T) {
	for _, width := range []int{80, 140} {
		table := NewPlacementTable(newTestPlacements(), 2)
		table.FitWidth(width)
		checkWidth(t, "placements", table.String(), width)
		if !strings.Contains(table.String(), "TOTAL/H") || !strings.Contains(table.String(), "$65.54") {
			t.Errorf("no prices at %d:\n%s", width, table)
		}
		golden.Compare(t, fmt.Sprintf("widths/placements-%d.txt", width), table.String())
	}
}

func TestWideCharactersStayInTheColumnsOfAPage(t *testing.T) {
	page := "  NAME      WHO         MESSAGE\n" +
		"  検索チーム  Ame\u0301lie 👩‍🚀  a message with so many words that it does not fit\n"
	want := "  NAME        WHO        MESSAGE\n" +
		"  検索チーム  Ame\u0301lie 👩‍🚀  a message with\n" +
		"                         so many words\n" +
		"                         that it does\n" +
		"                         not fit\n"
	if got := FitPage(strings.Replace(page, "NAME      WHO         ", "NAME        WHO        ", 1), 40); got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestNotesAreBrokenButNoCommandInThem(t *testing.T) {
	note := "Warning: a setting makes trouble here. To change it: skyctl config set kubeconfig.merge true, or leave it."
	want := "Warning: a setting makes trouble here. To change\n" +
		"  it: skyctl config set kubeconfig.merge true,\n  or leave it."
	if got := FitNote(note, 48); got != want {
		t.Errorf("got\n%s", got)
	}
	if got := FitNote(note, 0); got != note {
		t.Errorf("without a terminal: %q", got)
	}
	words := joinCommands([]string{"run", "skyctl", "a", "b.", "then"}, 40)
	if strings.Join(words, "|") != "run|skyctl a b.|then" {
		t.Errorf("got %q", words)
	}
}
