package snapshots

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
)

// inspection is what is found on a restored server. If the connection to it is lost, the verification is tried again.
type inspection struct {
	ctx      context.Context
	host     *remote.Host
	problems []string
	lost     error
}

// run runs a command on the restored server and returns its output.
func (i *inspection) run(command string) string {
	if i.lost != nil {
		return ""
	}
	out, err := i.host.RunScript(i.ctx, "testing", command)
	switch {
	case remote.IsLost(err):
		i.lost = err
	case err != nil:
		i.reportf("%s: %v", command, err)
	}
	return strings.TrimSpace(string(out))
}

func (i *inspection) reportf(format string, args ...any) {
	i.problems = append(i.problems, fmt.Sprintf(format, args...))
}

// checkThatNothingRuns looks for longer than the CronJob pauses: no container runs, no Job and no pod is new, but for
// the static pods of the server itself.
func (i *inspection) checkThatNothingRuns(s api.Snapshot) {
	i.run(kubectl + " get configmap before")
	objects := "own=$(sed -n 's/^node-name: //p' /etc/rancher/rke2/config.yaml); " + kubectl +
		` get jobs,pods -A -o name | grep -v -- "-$own\$" | sort`
	before := i.run(objects)
	if n := int64(strings.Count(before, "pod/")); n != s.Keys["/registry/pods"] || n == 0 {
		i.reportf("the API shows %d pods, the snapshot has %d", n, s.Keys["/registry/pods"])
	}
	next := time.Now().Truncate(time.Minute).Add(time.Minute + 15*time.Second)
	for time.Now().Before(next) {
		containers := i.run("ctr -a /run/k3s/containerd/containerd.sock -n k8s.io containers list -q " +
			`'labels."io.kubernetes.pod.namespace"!=kube-system'`)
		if containers != "" {
			i.reportf("containers run: %s", containers)
		}
		if len(i.problems) > 0 || i.lost != nil {
			return
		}
		time.Sleep(5 * time.Second) // the proof is that nothing happens in this time
	}
	if after := i.run(objects); after != before {
		i.reportf("there were\n%s\nand are\n%s", before, after)
	}
}

// checkSecrets checks that no program and no file on the disk has a secret, and that what would run workloads does not
// run.
func (i *inspection) checkSecrets(token string) {
	processes := i.run(`cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' '`)
	if strings.Contains(processes, token) {
		i.reportf("the token is an argument of a program")
	}
	for _, name := range []string{"kube-controller-manager", "kube-scheduler", "kube-proxy"} {
		if strings.Contains(processes, name+" --") {
			i.reportf("%s runs", name)
		}
	}
	onDisk := "find / " + strings.Join(rke2.IsolatedDiskDirs, " ") +
		" -xdev -type f -newer /etc/rancher/rke2/config.yaml -print0 2>/dev/null"
	if got := i.run(onDisk + " | xargs -0 -r grep -lE 'K10[0-9a-f]{64}|PRIVATE KEY' 2>/dev/null || true"); got != "" {
		i.reportf("secrets are on the disk: %s", got)
	}
}
