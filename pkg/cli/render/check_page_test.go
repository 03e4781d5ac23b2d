package render

import (
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/test/fixture"
	"github.com/sky-shift/skyctl/test/golden"
)

func newTestReport() CheckReport {
	return CheckReport{OK: true, Parts: fixture.NewCheckFindings(), Clouds: fixture.NewCloudStatuses()}
}

func TestCheckPageShowsTheProblems(t *testing.T) {
	golden.Compare(t, "check.txt", newTestReport().RenderPage(false))
	golden.Compare(t, "check-wide.txt", newTestReport().RenderPage(true))
	r := newTestReport()
	r.Clouds, r.OK, r.Parts[7].Problem = nil, false, ""
	if got := r.RenderPage(false); !strings.Contains(got, "No cloud is enabled") {
		t.Error(got)
	}
	r.Parts[3].Problem = "does not answer"
	if got := r.RenderPage(false); !strings.Contains(got, "until the problems above are fixed") {
		t.Error(got)
	}
}
