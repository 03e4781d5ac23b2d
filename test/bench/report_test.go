package main

import (
	"strings"
	"testing"
)

func TestMedianDoesNotDependOnTheOrder(t *testing.T) {
	for _, c := range []struct {
		of   sample
		want float64
	}{{sample{7}, 7}, {sample{9, 1, 5}, 5}, {sample{4, 1, 3, 100}, 3.5}} {
		if got := c.of.median(); got != c.want {
			t.Errorf("median of %v is %v, not %v", c.of, got, c.want)
		}
	}
}

func TestRatioComparesMedians(t *testing.T) {
	ours, base := sample{12, 1000, 11}, sample{10, 1, 10}
	if got := ours.formatRatio(base, "by hand"); got != "1.20 x by hand" {
		t.Errorf("got %q", got)
	}
}

func TestOnlyMissedTargetsFailAStrictRun(t *testing.T) {
	met, miss, plain := resultRow{what: "a", target: "under 1 ms", met: true}, resultRow{what: "b",
		target: "under 1 ms"}, resultRow{what: "c"}
	if anyTargetMissed([]resultRow{met, plain}) {
		t.Error("a row without a target counts as a missed target")
	}
	if !anyTargetMissed([]resultRow{met, miss}) {
		t.Error("a missed target is not detected")
	}
	table := renderReport("here", []resultRow{met, miss, plain})
	for _, want := range []string{"here\n", "met\n", "MISSED\n"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table has no %q:\n%s", want, table)
		}
	}
}

func TestProcessorTimesAdvance(t *testing.T) {
	if before := readProcessorTimes(); before.total <= 0 || before.busy <= 0 || before.busy > before.total {
		t.Errorf("busy %v of %v", before.busy, before.total)
	}
}
