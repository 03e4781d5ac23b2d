package cli

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// compareGolden compares with a file of testdata.
func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (run with -update if it should)\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func timeAgo(d time.Duration) time.Time { return noon.Add(-d) }

// newFreshCluster is a cluster that was just asked for.
func newFreshCluster() *api.Cluster {
	c := api.NewCluster("cloud-cluster", "6f1d0c1e",
		api.ClusterSpec{Cloud: "docker", CPUs: "2+", NumNodes: 3, Provision: true}, nil, timeAgo(10*time.Second))
	c.Status.SetPhase(api.PhaseProvisioning, "", timeAgo(9*time.Second))
	return c
}

// newReadyCluster is a cluster with everything known.
func newReadyCluster() *api.Cluster {
	c := api.NewCluster("train", "6f1d0c1e", api.ClusterSpec{
		Accelerators: "A100:8", CPUs: "32+", Memory: "128+", DiskSize: 200, Ports: []string{"80", "30000-30100"},
		NumNodes: 2, Provision: true,
	}, map[string]string{"team": "search", "app": "ranking"}, timeAgo(4*time.Minute))
	place := api.Placement{Cloud: "aws", Region: "us-east-1", Zone: "us-east-1b", InstanceType: "p4d.24xlarge",
		CPUs: 96, MemoryGiB: 1152, DiskGiB: 200, PricePerMachine: 32.77, PriceTotal: 65.54}
	st := &c.Status
	st.SetPhase(api.PhaseProvisioning, "", timeAgo(4*time.Minute-time.Second))
	st.SetPhase(api.PhaseReady, "", timeAgo(30*time.Second))
	st.Placement, st.Endpoint = &place, "https://3.80.1.2:6443"
	st.Attempts = []api.FailedPlacement{{Placement: api.Placement{Cloud: "gcp", Region: "us-central1",
		InstanceType: "a2-highgpu-8g"}, Machine: "sky-train-1", Reason: "Quota",
		Message: "quota NVIDIA_A100_GPUS exceeded: limit 0", At: timeAgo(210 * time.Second)}}
	st.Versions = api.Versions{RKE2: "v1.35.7+rke2r1", Kubernetes: "v1.35.7"}
	st.Resources = api.Resources{CPUs: api.Amount{Available: 190.5, Total: 192},
		Memory: api.Amount{Available: 2280.123, Total: 2304}, Disk: api.Amount{Available: 390, Total: 400},
		Accelerators: map[string]api.Amount{"A100": {Available: 15, Total: 16}}}
	st.SetCondition(api.Condition{Type: api.MachinesLaunched, Status: api.ConditionTrue, Reason: "AllUp"},
		timeAgo(3*time.Minute))
	st.SetCondition(api.Condition{Type: api.NodesReady, Status: api.ConditionTrue, Reason: "AllReady",
		Message: "2 of 2 nodes are Ready"}, timeAgo(31*time.Second))
	for i := range 2 {
		m := newTestMachine("train", i, api.MachineReady, "", 31*time.Second)
		m.Address, m.PrivateAddress, m.Placement, m.LaunchedAt = "3.80.1.2", "10.0.0.2", place, timeAgo(200*time.Second)
		st.Machines = append(st.Machines, m)
	}
	return c
}

// newFailedCluster is a cluster in ERROR.
func newFailedCluster() *api.Cluster {
	c := newFreshCluster()
	c.Status.SetPhase(api.PhaseError, "Timeout", timeAgo(time.Second))
	c.Status.Placement = &api.Placement{Cloud: "docker", Region: "local", CPUs: 2, MemoryGiB: 4}
	c.Status.Failure = &api.Failure{
		Step: "join", Machine: "sky-cloud-cluster-1", Reason: "Timeout",
		Message: "rke2-agent did not become active within 10m0s", At: timeAgo(time.Second),
		Log: []string{"level=error msg=\"failed to get CA certs: \x1b[31m401 Unauthorized\x1b[0m\"",
			"level=fatal msg=\"giving up\""},
	}
	return c
}

func newTestMachine(cluster string, i int, s api.MachineState, step string, since time.Duration) api.Machine {
	return api.Machine{
		Index: i, Name: api.MachineName(cluster, i), Incarnation: "x7k2p", NodeName: api.MachineName(cluster, i) +
			"-x7k2p",
		Role: api.RoleOf(i), State: s, Step: step, Since: timeAgo(since),
	}
}

func TestTheTableHasTheColumnsThatPeopleKnow(t *testing.T) {
	compareGolden(t, "table-fresh.txt", newClusterTable([]api.Cluster{*newFreshCluster()}, false, noon).String())
	known := newFreshCluster()
	known.Metadata.CreatedAt = timeAgo(4 * time.Minute)
	known.Status.Phase = api.PhaseReady
	known.Status.Resources = api.Resources{CPUs: api.Amount{Available: 2.01, Total: 4},
		Memory: api.Amount{Available: 12.67, Total: 15.63}, Disk: api.Amount{Available: 239.15, Total: 239.15}}
	compareGolden(t, "table-known.txt", newClusterTable([]api.Cluster{*known}, false, noon).String())
	compareGolden(t, "table-several.txt", newClusterTable([]api.Cluster{*newFreshCluster(), *newReadyCluster(),
		*newFailedCluster()}, false, noon).String())
	compareGolden(t, "table-wide.txt", newClusterTable([]api.Cluster{*newFreshCluster(), *newReadyCluster()}, true,
		noon).String())
	compareGolden(t, "table-none.txt", newClusterTable(nil, false, noon).String())
}

func TestThePlanShowsPlacesWithTheirPrices(t *testing.T) {
	compareGolden(t, "plan.txt", newPlacementTable([]api.Placement{
		*newReadyCluster().Status.Placement,
		{Cloud: "docker", Region: "local", CPUs: 2, MemoryGiB: 4},
	}, 2).String())
}

func TestDescribeSaysEverythingKnown(t *testing.T) {
	const ui = "http://127.0.0.1:8233/namespaces/skyctl/workflows/cluster%2Fx"
	launching := newFreshCluster()
	launching.Status.Machines = []api.Machine{
		newTestMachine("cloud-cluster", 0, api.MachineUp, "start the RKE2 server", 4*time.Second),
		newTestMachine("cloud-cluster", 1, api.MachinePrepared, "wait for the head", 2*time.Second),
	}
	compareGolden(t, "describe-launching.txt",
		clusterDescription{cluster: launching, operation: ui, now: noon}.String())
	compareGolden(t, "describe-ready.txt", clusterDescription{cluster: newReadyCluster(), operation: ui,
		kubeconfig: "/home/ada/.skyconf/clusters/train/kubeconfig", now: noon}.String())
	compareGolden(t, "describe-failed.txt", clusterDescription{cluster: newFailedCluster(), now: noon}.String())
}

func TestTheTranscriptsLinesAreInTheTablesLetterForLetter(t *testing.T) {
	for file, want := range map[string]string{
		"table-fresh.txt": "NAME           MANAGER    LABELS    RESOURCES    STATUS        AGE\n" +
			"cloud-cluster  k8                   {}           PROVISIONING  10s\n",
		"table-known.txt": "NAME           MANAGER    LABELS    RESOURCES                  STATUS    AGE\n" +
			"cloud-cluster  k8                   cpus: 2.01/4.0             READY     4m\n" +
			"                                    memory: 12.67 GB/15.63 GB\n" +
			"                                    disk: 239.15 GB/239.15 GB\n",
	} {
		got, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s:\n%s\nwant:\n%s", file, got, want)
		}
	}
}

func TestHelpIsWrittenForPeople(t *testing.T) {
	for _, args := range []string{
		"", "create", "create cluster", "get", "get clusters", "get kubeconfig", "describe", "describe cluster",
		"delete", "delete cluster", "check",
		"get events", "get orphans", "delete orphans", "reconcile", "pause", "pause reconcile", "resume",
		"resume reconcile", "tunnel",
		"server", "server start", "server stop", "server status", "server adopt", "version", "exit-codes", "options",
		"settings",
	} {
		var out bytes.Buffer
		env := Environment{Out: &out, Err: &out, Getenv: func(string) string {
			return ""
		}, Now: func() time.Time { return noon }}
		if code := Run(context.Background(), env, append([]string{"help"}, strings.Fields(args)...)); code != 0 {
			t.Errorf("help %s: exit %d", args, code)
		}
		compareGolden(t, filepath.Join("help", strings.ReplaceAll("skyctl "+args, " ", "-")+".txt"), out.String())
	}
}

func TestEveryCommandHasWordsAndAnExample(t *testing.T) {
	a := &app{env: Environment{}}
	root := a.newRootCommand()
	for _, c := range append(root.Commands(), root) {
		for _, c := range append(c.Commands(), c) {
			if c.Name() == "help" || c.Parent() != nil &&
				(c.Name() == "completion" || c.Parent().Name() == "completion") || c.IsAdditionalHelpTopicCommand() {
				continue
			}
			if c.Short == "" || c.Long == "" || c.Example == "" {
				t.Errorf("%s lacks a Short, Long or Example", c.CommandPath())
			}
		}
	}
}
