package render

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/fixture"
	"github.com/sky-shift/skyctl/test/golden"
)

// wideCharacters are labels whose characters take two cells, none, or several code points for one character.
var wideCharacters = map[string]string{"team": "検索チーム", "owner": "Ame\u0301lie", "flag": "👩‍🚀"}

// newMixedClusters returns clusters with short, long and wide values.
func newMixedClusters() []api.Cluster {
	long, wide := fixture.NewReadyCluster(), fixture.NewReadyCluster()
	long.Metadata.Name = "recommendation-train-with-a-long-name"
	long.Status.Endpoint = "https://ec2-203-0-113-25.ap-southeast-1.compute.amazonaws.com:6443"
	wide.Metadata.Name, wide.Metadata.Labels = "wide", wideCharacters
	return []api.Cluster{*fixture.NewFreshCluster(), *fixture.NewReadyCluster(), *long, *wide}
}

// checkWidth fails for lines that are wider than a terminal.
func checkWidth(t *testing.T, what, text string, width int) {
	t.Helper()
	for l := range strings.Lines(text) {
		if l = strings.TrimSuffix(l, "\n"); CellWidth(l) > width {
			t.Errorf("%s at %d: %d cells in %q", what, width, CellWidth(l), l)
		}
	}
}

func TestTablesFitTheTerminal(t *testing.T) {
	clusters := newMixedClusters()
	tables := map[string]func() *Table{
		"wide":     func() *Table { return NewClusterTable(clusters, true, fixture.Noon) },
		"plain":    func() *Table { return NewClusterTable(clusters, false, fixture.Noon) },
		"machines": func() *Table { return NewMachineTable(clusters, fixture.Noon) },
		"events":   func() *Table { return NewEventTable(fixture.NewEvents(), fixture.Noon) },
	}
	for what, newTable := range tables {
		for _, width := range []int{80, 140} {
			table := newTable()
			table.FitWidth(width)
			checkWidth(t, what, table.String(), width)
			golden.Compare(t, fmt.Sprintf("widths/%s-%d.txt", what, width), table.String())
		}
		for width := 1; width < 200; width++ {
			table := newTable()
			table.FitWidth(width)
			checkWidth(t, what, table.String(), width)
		}
	}
}

func TestWideTableHasOneLineForEachCluster(t *testing.T) {
	clusters := newMixedClusters()
	text := NewClusterTable(clusters, true, fixture.Noon).String()
	if lines := strings.Count(text, "\n"); lines != 1+len(clusters) {
		t.Errorf("%d lines:\n%s", lines, text)
	}
	if strings.Contains(text, "…") {
		t.Errorf("something is shortened, but there is no terminal:\n%s", text)
	}
}

func TestWatchFitsTheTerminal(t *testing.T) {
	c := fixture.NewFreshCluster()
	for _, width := range []int{80, 140} {
		w := NewWatchTable([]api.Cluster{*c}, false, fixture.Noon, nil)
		w.FitWidth(width)
		text := w.String()
		for _, next := range append(newMixedClusters(), *c) {
			text += w.RenderNextRow(ClusterRow(&next, false, fixture.Noon.Add(time.Minute))...)
		}
		w.FitWidth(60) // the terminal becomes narrower
		narrow := w.RenderNextRow(ClusterRow(c, false, fixture.Noon)...)
		checkWidth(t, "watch", text, width)
		checkWidth(t, "narrow watch", narrow, 60)
		golden.Compare(t, fmt.Sprintf("widths/watch-%d.txt", width), text+narrow)
	}
}

func TestColumnsAreCountedInCells(t *testing.T) {
	c := fixture.NewReadyCluster()
	c.Metadata.Labels = wideCharacters
	lines := strings.Split(NewClusterTable([]api.Cluster{*c}, false, fixture.Noon).String(), "\n")
	at := strings.Index(lines[0], "RESOURCES")
	for i, resource := range []string{"cpus: ", "memory: ", "disk: "} {
		before, _, found := strings.Cut(lines[i+1], resource)
		if !found || CellWidth(before) != at {
			t.Errorf("%q begins at %d instead of %d: %q", resource, CellWidth(before), at, lines[i+1])
		}
	}
}

func TestLinesAreTruncatedInCells(t *testing.T) {
	for _, tt := range []struct {
		line  string
		width int
		want  string
	}{
		{"READY", 5, "READY"},
		{"READY (drifted)", 8, "READY (…"},
		{"検索チーム", 10, "検索チーム"},
		{"検索チーム", 9, "検索チー…"},
		{"検索チーム", 4, "検…"}, // a half of a character cannot be shown
		{"Ame\u0301lie", 6, "Ame\u0301lie"},
		{"Ame\u0301lie", 4, "Ame\u0301…"},
		{"READY", 1, "…"},
		{"READY", 0, ""},
	} {
		if got := TruncateCells(tt.line, tt.width); got != tt.want || CellWidth(got) > tt.width {
			t.Errorf("%q at %d: %q, want %q", tt.line, tt.width, got, tt.want)
		}
	}
}

func TestColorsTakeNoCells(t *testing.T) {
	clusters := newMixedClusters()
	for i, p := range []api.Phase{api.PhaseReady, api.PhaseProvisioning, api.PhaseError, api.PhaseStopped} {
		clusters[i].Status.Phase = p
	}
	clusters[0].Status.Drift = []api.Drift{{Machine: "sky-train-1", Reason: api.DriftMachineGone}}
	for _, width := range []int{0, 140, 60, 30} {
		plain, colored := NewClusterTable(clusters, false, fixture.Noon), NewClusterTable(clusters, false, fixture.Noon)
		plain.FitWidth(width)
		colored.FitWidth(width)
		colored.ColorStatuses()
		text := colored.String()
		for _, style := range []string{styleGreen, styleYellow, styleRed, styleDim} {
			if strings.Count(text, style) != 1 {
				t.Errorf("%q is not there once at %d:\n%q", style, width, text)
			}
			text = strings.ReplaceAll(text, style, "")
		}
		if text = strings.ReplaceAll(text, styleNormal, ""); text != plain.String() {
			t.Errorf("at %d without colours:\n%s\nwant:\n%s", width, text, plain)
		}
	}
}

func TestOnlyThePhaseOfAStatusIsColored(t *testing.T) {
	for _, tt := range []struct{ status, shown, want string }{
		{"READY", "READY", "\x1b[32mREADY\x1b[0m"},
		{"READY (drifted)", "READY (d…", "\x1b[32mREADY\x1b[0m (d…"},
		{"PROVISIONING", "PROV…", "\x1b[33mPROV…\x1b[0m"},
		{"INIT", "INIT", "\x1b[33mINIT\x1b[0m"},
		{"ERROR", "ERROR", "\x1b[31mERROR\x1b[0m"},
		{"DAMAGED", "DAMAGED", "\x1b[31mDAMAGED\x1b[0m"},
		{"DELETING", "DELETING", "\x1b[2mDELETING\x1b[0m"},
		{"STOPPED", "STOPPED", "\x1b[2mSTOPPED\x1b[0m"},
		{"DELETED", "DELETED", "\x1b[2mDELETED\x1b[0m"},
		{"OTHER", "OTHER", "OTHER"},
		{"READY", "", ""},
	} {
		if got := paintStatus(tt.status, tt.shown); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.status, got, tt.want)
		}
	}
}

func TestColoredTablesAreHarmless(t *testing.T) {
	hostile := []api.Cluster{fixture.NewHostile[api.Cluster]()}
	for _, wide := range []bool{false, true} {
		table := NewClusterTable(hostile, wide, fixture.Noon)
		table.ColorStatuses()
		fixture.CheckHarmless(t, "a coloured table", table.String()+table.RenderNextRow(ClusterRow(&hostile[0], wide,
			fixture.Noon)...))
	}
}
