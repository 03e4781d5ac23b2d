package e2e

import (
	"fmt"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/eventually"
)

// latePod is a pod without a controller, on one machine.
const latePod = `
apiVersion: v1
kind: Pod
metadata: {name: late}
spec:
  nodeName: %s
  terminationGracePeriodSeconds: 1
  containers: [{{late}}]
`

// startLatePod starts a pod on a worker, and returns a check that its container ends: nothing but the kubelet knows of
// it once the cluster has the state of before.
func (i *installation) startLatePod(cluster string, worker api.Machine) (checkEnded func()) {
	i.t.Helper()
	i.applyText(cluster, fmt.Sprintf(fillIn(latePod, "late"), worker.NodeName))
	i.kubectl(cluster, "wait", "--for=condition=Ready", "pod/late", within(podPatience))
	_, id, _ := strings.Cut(i.kubectl(cluster, "get", "pod", "late", "-o",
		"jsonpath={.status.containerStatuses[0].containerID}"), "://")
	// containerd has a directory with this name while the container runs.
	find := "find /run -type d -path '*k8s.io*' -name '" + id + "' 2>/dev/null || true"
	if dir := i.sh(worker.Name, find); id == "" || !strings.Contains(dir, id) {
		i.t.Fatalf("container %q of the pod is not on %s: %q", id, worker.Name, dir)
	}
	return func() {
		i.t.Helper()
		eventually.Holds(i.t, "the container of a pod that is newer than the snapshot has ended", func() bool {
			return strings.TrimSpace(i.sh(worker.Name, find)) == ""
		})
		if pods := i.kubectl(cluster, "get", "pods", "-o", "name"); strings.Contains(pods, "pod/late") {
			i.t.Errorf("there are\n%s", pods)
		}
	}
}

// checkLossIsTold fails the test unless describe says of the last restore, and an event too, from which snapshot and
// time the state is, and how much time is lost. A start loses nothing.
func (i *installation) checkLossIsTold(c api.Cluster) {
	i.t.Helper()
	done := c.Status.Restored
	lost := done.Until.Sub(done.StateOf)
	want := fmt.Sprintf("the cluster has its state of %s, from snapshot %s; changes of %s after that are lost",
		done.StateOf.UTC().Format(time.RFC3339), done.Snapshot, lost.Truncate(time.Second))
	told := "(" + formatLost(lost) + " of changes are lost)"
	if done.Reason == api.RestoreStart {
		want = fmt.Sprintf("started from snapshot %s, with the state of %s", done.Snapshot,
			done.StateOf.UTC().Format(time.RFC3339))
		told = ""
	} else if lost < time.Second {
		i.t.Errorf("%v is lost: %+v", lost, done)
	}
	events := i.run("get", "events", c.Metadata.Name).stdout
	if !strings.Contains(events, want) {
		i.t.Errorf("no event says %q:\n%s", want, events)
	}
	said := i.runAndLog("describe", "cluster", c.Metadata.Name)
	for line := range strings.Lines(said) {
		if text, is := strings.CutPrefix(strings.TrimSpace(line), "Last restore:"); is {
			said = text
		}
	}
	of := "from " + done.Snapshot + ", with the state of " + done.StateOf.Local().Format("2006-01-02 15:04:05")
	if !strings.Contains(said, of) || !strings.Contains(said, told) {
		i.t.Errorf("describe says %q, not %q and %q", said, of, told)
	}
}

// formatLost is a time as describe says it, of less than an hour.
func formatLost(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%ds", int(d.Seconds()))
	}
	return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
}
