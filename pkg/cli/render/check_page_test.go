package render

import (
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/fixture"
	"github.com/sky-shift/skyctl/test/golden"
)

func newTestReport() CheckReport {
	return CheckReport{OK: true, Parts: fixture.NewCheckFindings(), Clouds: fixture.NewCloudStatuses()}
}

// newBrokenDocker returns an engine that has two problems and a warning.
func newBrokenDocker() api.CheckFinding {
	return api.CheckFinding{Name: "Docker", Version: "28.0.1", Where: "unix:///run/user/1000/docker.sock",
		Details: []string{"2 CPUs, 8.0 GiB of memory"},
		Problem: "2 problems: (1) the engine is rootless; (2) only 1.0 GiB are free",
		Findings: []api.Finding{
			{Check: "DockerRootless", Severity: api.FindingProblem,
				Message: "the engine is rootless: this computer cannot " +
					"reach its containers", Fix: "install Docker Engine on this computer itself"},
			{Check: "Disk", Severity: api.FindingProblem, Message: "only 1.0 GiB are free where Docker keeps its data",
				Fix: "free some disk space, for example with docker system prune"},
			{Check: "MTU", Severity: api.FindingWarning,
				Message: "packets of the Docker network bridge may have 1500 " +
					"bytes, those of the way out (eth0) only 1400", Fix: "set \"mtu\": 1400"},
		}}
}

func TestCheckPageShowsTheProblems(t *testing.T) {
	golden.Compare(t, "check.txt", newTestReport().RenderPage(false))
	golden.Compare(t, "check-wide.txt", newTestReport().RenderPage(true))
	broken := newTestReport()
	broken.Parts[6] = newBrokenDocker()
	broken.Clouds[0] = api.CloudStatus{Name: "docker", Reason: broken.Parts[6].Problem}
	golden.Compare(t, "check-docker.txt", broken.RenderPage(false))
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
