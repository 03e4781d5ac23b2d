package render

import (
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/golden"
)

func TestMachineReportShowsFindingsWithTheirFixes(t *testing.T) {
	r := MachineReport{Cluster: "train", Machines: []api.MachineCheck{
		{Machine: "sky-train-0", Role: api.RoleHead},
		{Machine: "sky-train-1", Role: api.RoleWorker, Findings: []api.Finding{
			{Check: "Disk", Severity: api.FindingProblem, Message: "1.0 GiB of 100.0 GiB are free on the disk of " +
				"/var/lib/rancher; the kubelet evicts pods below 5% (5.0 GiB), and RKE2 with its images needs 0.0 GiB",
				Fix: "free another 4.0 GiB, or request a larger --disk_size"},
			{Check: "Firewall", Severity: api.FindingWarning, Message: "ufw is enabled", Fix: "ufw disable"},
		}},
		{Machine: "sky-train-2", Role: api.RoleWorker, Unchecked: "machine sky-train-2: ssh: \x1b[31mno route to host"},
	}}
	golden.Compare(t, "machine-report.txt", r.RenderPage())
	r.Machines = r.Machines[:1]
	golden.Compare(t, "machine-report-good.txt", r.RenderPage())
	golden.Compare(t, "machine-report-empty.txt", MachineReport{Cluster: "train"}.RenderPage())
}
