package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

// TestClusterFitsIntoTheWorldAroundIt creates a cluster in a difficult world. A dead proxy is in skyd's environment and
// another in the machines', whose login shell prints. With the kit, there is also a registry that limits pulls, on
// both machines, and a cloud controller that is slow.
func TestClusterFitsIntoTheWorldAroundIt(t *testing.T) {
	t.Parallel()
	i := newWatched(t)
	asked := func() string { return "" }
	passing, proxy := map[string]string{}, ""
	if withKit() { // the official release and its images would be fetched through the proxy, which forwards nothing
		i.env, asked = withDeadProxy(t, i.env)
		passing, proxy = map[string]string{pullFails: "30", "uninitialized": "15"}, "https_proxy=http://127.0.0.1:1"
	}
	dir := t.TempDir()
	archive, file := filepath.Join(dir, "archived.tar"), filepath.Join(dir, "fitted.yaml")
	writeImageArchive(t, filepath.Join(i.bin, "skyctl"), archive)
	if err := os.WriteFile(file, []byte(fittedFile(archive)), 0o600); err != nil {
		t.Fatal(err)
	}
	created := i.startCommand("apply", "-f", file, "--wait")
	for n := range 2 {
		i.onceThere(fmt.Sprintf("sky-fitted-%d", n), strings.Join([]string{writeStartupFile(greets), askFor(passing),
			"echo " + proxy + " >>/etc/environment"}, "\n"))
	}
	told := i.awaitReadyPastRegistry()
	if r := <-created; r.code != 0 {
		t.Fatalf("apply: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	i.runScenes("fitted", []scene{
		{"the progress named the registry that limits pulls", func(i *installation) {
			needsKit(i.t, "only the kit can be asked to fail")
			if !told[0] || !told[1] {
				i.t.Errorf("the machines whose progress told about the registry: %v", told)
			}
		}},
		{"READY waited for the slow cloud controller", nodesAreInitialized},
		{"RKE2's settings reach every machine", settingsReachMachines},
		{"a login shell that prints does no harm", loginShellDidNoHarm},
		{"no proxy is used for the cluster's machines", func(i *installation) {
			needsKit(i.t, "the official release and its images would be fetched through the proxy")
			i.inSync("fitted")
			if _, err := i.onHost("sky-fitted-1", "grep", "-q", "NO_PROXY=.*10.43.0.0/16",
				"/etc/rancher/rke2/skyctl-proxy.env"); err != nil {
				i.t.Errorf("RKE2 on a worker has no list of addresses without the proxy: %v", err)
			}
			if line := asked(); line != "" {
				i.t.Errorf("the proxy was used for %q", line)
			}
		}},
		{"a healthy head whose API is out of reach is not restarted", apiOutOfReach},
		{"a login shell that runs no command is quoted once a repair needs it", loginShellRunsNothing},
	})
}

// pullFails is the file by which the kit is asked for a registry that limits pulls.
const pullFails = "pull-fails"

// awaitReadyPastRegistry waits until the cluster is READY, and returns the indexes of the machines whose progress told
// about a registry that limits pulls. Until then each machine's does; then it ends there.
func (i *installation) awaitReadyPastRegistry() map[int]bool {
	i.t.Helper()
	told := map[int]bool{}
	i.awaitPassing("fitted", "READY", func(c api.Cluster) bool {
		if c.Status.Phase == api.PhaseError {
			i.t.Fatalf("ERROR:\n%s", i.try("describe", "cluster", "fitted").stdout)
		}
		for _, m := range c.Status.Machines {
			if strings.Contains(m.Step, "the image registry limits pulls: ") &&
				strings.Contains(m.Step, "TOOMANYREQUESTS") && !told[m.Index] {
				told[m.Index] = true
				i.sh(m.Name, "rm -f /etc/skyctl-test/"+pullFails)
			}
		}
		return c.Status.Phase == api.PhaseReady
	})
	return told
}

func nodesAreInitialized(i *installation) {
	if taints := i.kubectl("fitted", "get", "nodes", "-o", "jsonpath={.items[*].spec.taints[*].key}"); strings.Contains(
		taints, "uninitialized") {
		i.t.Errorf("READY with the taints %s", taints)
	}
	c := i.cluster("fitted")
	if got := c.Status.FindCondition(api.AddOnsReady); got == nil || got.Status != api.ConditionTrue {
		i.t.Errorf("the condition is %+v", got)
	}
}
