package rke2

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
)

// The logs of components that RKE2 keeps out of its journal (k3s pkg/daemons/agent and pkg/agent/containerd; the
// kubelet writes the logs of pods).
const (
	kubeletLog    = "/var/lib/rancher/rke2/agent/logs/kubelet.log"
	containerdLog = "/var/lib/rancher/rke2/agent/containerd/containerd.log"
	podLogs       = "/var/log/pods/kube-system_"
)

// The lines of each log in a report.
const (
	kubeletLines    = 12
	containerdLines = 8
	podLines        = 4
	// linesBefore are read before those of a report, because a secret can begin in them.
	linesBefore = 40
)

// reportedPods are the pods of a role whose logs help, by the beginning of their names: RKE2's static pods, which have
// the name of the component and of the Node (rancher/rke2 pkg/podtemplate), and those without which a Node is not
// Ready.
var reportedPods = map[api.Role][]string{
	api.RoleHead:   {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "cloud-controller-manager"},
	api.RoleWorker: {"kube-proxy", "rke2-canal", "rke2-cilium", "rke2-calico", "rke2-flannel"},
}

// reportScript prints the last lines of logs, each after a line with its name and the number of lines to show. Of
// containerd's it takes the warnings and errors, if there are any. Of each pod it takes the log that was written last
// and is not empty, as that of a container is that has just been started again.
const reportScript = `
before=` + "%d" + `
section() { echo "$mark$2 $1"; cut -c1-4000; }
journalctl -q --no-pager -o cat -n $(($journal_lines + before)) -u "$unit" | section "journal of $unit" $journal_lines
tail_log() { if [ -s "$1" ]; then tail -n $(($2 + before)) "$1" | section "$1" "$2"; fi; }
tail_log $kubelet_log $kubelet_lines
if grep -qE 'level=(warning|error|fatal)' $containerd_log 2>/dev/null; then
  tail -n 2000 $containerd_log | grep -E 'level=(warning|error|fatal)' | tail -n $((containerd_lines + before)) |
    section $containerd_log $containerd_lines
else tail_log $containerd_log $containerd_lines; fi
for pod in $pods; do
  newest=$(ls -t $pod_logs"$pod"-*/*/*.log 2>/dev/null |
    while read -r log; do if [ -s "$log" ]; then echo "$log"; break; fi; done)
  [ -z "$newest" ] || tail_log "$newest" $pod_lines
done
exit 0`

// ReadFailureReport returns the last lines of a role's journal and of the logs of the kubelet, of containerd and of the
// pods of the control plane, or of a worker's network, without secrets. Each log but a lone journal has a heading.
func ReadFailureReport(ctx context.Context, h *remote.Host, role api.Role) ([]string, error) {
	sections, err := readReportSections(ctx, h, role)
	return joinReport(sections), err
}

// reportSection is the end of one log.
type reportSection struct {
	name string
	// all are the lines that were read, and lines the last ones, which a report shows.
	all, lines []string
}

func readReportSections(ctx context.Context, h *remote.Host, role api.Role) ([]reportSection, error) {
	mark := "@" + rand.Text() + " "
	script := fmt.Sprintf("mark=%s\nunit=%s\njournal_lines=%d\nkubelet_log=%s; kubelet_lines=%d\n"+
		"containerd_log=%s; containerd_lines=%d\npod_logs=%s; pod_lines=%d\npods=%s\n"+reportScript,
		remote.QuoteShell(mark), unitName(role), logLines, kubeletLog, kubeletLines, containerdLog, containerdLines,
		podLogs, podLines, remote.QuoteShell(strings.Join(reportedPods[role], " ")), linesBefore)
	out, err := h.RunScript(ctx, "reading the logs of "+unitName(role), script)
	return parseReport(out, mark), err
}

// parseReport parses the output of reportScript, and hides secrets.
func parseReport(out []byte, mark string) []reportSection {
	var (
		sections []reportSection
		text     strings.Builder
		show     int
	)
	endSection := func() {
		if len(sections) == 0 {
			return
		}
		s := &sections[len(sections)-1]
		s.all = toRedactedLines(text.String())
		s.lines = s.all[max(0, len(s.all)-show):]
		text.Reset()
	}
	for scan := bufio.NewScanner(bytes.NewReader(out)); scan.Scan(); {
		header, ok := strings.CutPrefix(scan.Text(), mark)
		if !ok {
			text.WriteString(scan.Text() + "\n")
			continue
		}
		endSection()
		count, name, _ := strings.Cut(header, " ")
		_, _ = fmt.Sscan(count, &show)
		sections = append(sections, reportSection{name: name})
	}
	endSection()
	return sections
}

func joinReport(sections []reportSection) []string {
	var report []string
	for _, s := range sections {
		if len(s.lines) == 0 {
			continue
		}
		report = append(append(report, "== "+s.name+" =="), s.lines...)
	}
	if len(sections) == 1 && len(report) > 0 {
		return report[1:]
	}
	return report
}

// findSection returns the end of a log; empty if it is missing.
func findSection(sections []reportSection, name string) reportSection {
	for _, s := range sections {
		if s.name == name {
			return s
		}
	}
	return reportSection{}
}
