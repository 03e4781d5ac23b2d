package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/test/eventually"
	skytest "github.com/sky-shift/skyctl/test/skypilot"
)

// skyWorld is an installation whose machines come from a real SkyPilot API server, which skyd starts. Its cloud is the
// test's: SkyPilot's own AWS code with a fake AWS API server, whose instances are Docker hosts.
type skyWorld struct {
	*installation
	env *skytest.Env
}

func newSky(t *testing.T) *skyWorld {
	t.Helper()
	env, err := skytest.StartEnv(t.Context(),
		skytest.Options{Dir: filepath.Join(t.TempDir(), "sky"), WithoutServer: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // runs after the clusters are deleted
		if t.Failed() {
			t.Logf("the AWS API server's log:\n%s", lastOf(env.ReadLog("aws")))
		}
		if err := env.Stop(); err != nil {
			t.Errorf("stop SkyPilot: %v", err)
		}
	})
	i := newInstallation(t)
	for _, v := range env.EnvVars() { // those of the clouds; SKYPILOT_… would point at another server
		if !strings.HasPrefix(v, "SKYPILOT_") {
			i.env = append(i.env, v)
		}
	}
	port, err := skytest.FindServerPort()
	if err != nil {
		t.Fatal(err)
	}
	i.env = append(i.env, "SKYCTL_SKYPILOT_PYTHON="+env.PythonInterpreter(),
		fmt.Sprintf("SKYCTL_SKYPILOT_PORT=%d", port))
	if err := skytest.InstallCatalogs(filepath.Join(i.dir, "skypilot", "state")); err != nil {
		t.Fatal(err)
	}
	return &skyWorld{installation: i, env: env}
}

func lastOf(log string) string { return log[max(0, len(log)-4000):] }

// part is a part of a test; all parts share the installation.
func (w *skyWorld) part(t *testing.T, name string, test func(t *testing.T)) {
	t.Run(name, func(part *testing.T) {
		w.t = part
		defer func() { w.t = t }()
		test(part)
	})
}

func (w *skyWorld) fault(t *testing.T, f skytest.Fault) *skytest.ActiveFault {
	t.Helper()
	a, err := w.env.SetFault(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Clear() }) // the test may have cleared it
	return a
}

// instances returns all instances that a cluster has had on AWS.
func (w *skyWorld) instances(t *testing.T, cluster string) []skytest.Instance {
	t.Helper()
	all, err := w.env.AWS.ListInstances(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(i skytest.Instance) bool { return i.Tags[cloud.LabelCluster] != cluster })
}

// delete deletes a cluster and checks that nothing remains in the account, nor any machine. It returns the command's
// output.
func (w *skyWorld) delete(t *testing.T, cluster string) string {
	t.Helper()
	r := w.tryFor(10*time.Minute, "delete", "cluster", cluster, "--yes", "--wait")
	if r.code != 0 {
		t.Fatalf("delete: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	w.holdEmpty(t)
	return r.stdout
}

func (w *skyWorld) holdEmpty(t *testing.T) {
	t.Helper()
	left, err := w.env.AWS.ListLeftovers(t.Context())
	if err != nil || len(left) > 0 {
		t.Errorf("the account still has\n%s\n%v", strings.Join(left, "\n"), err)
	}
	hosts, err := w.env.ListMachines(t.Context())
	if err != nil || len(hosts) > 0 {
		t.Errorf("hosts remain: %+v, %v", hosts, err)
	}
}

func TestClustersOnAWSThroughSkyPilot(t *testing.T) {
	t.Parallel()
	w := newSky(t)
	w.part(t, "what nobody offers is refused before anything is launched", w.refusals)
	w.part(t, "where a region has no machines, three nodes come up in the next, and leave nothing behind", w.failover)
	w.part(t, "machines that are stopped come back at other addresses", w.moved)
	w.part(t, "no quota anywhere ends in an error in AWS's own words", w.noQuota)
	w.part(t, "a launch whose skyd is killed gives one machine", w.killedSkyd)
	w.part(t, "a launch whose SkyPilot server is killed gives one machine", w.killedServer)
}

// refusals are invalid requests that only the cloud can detect: one clear error each, with exit code 2.
func (w *skyWorld) refusals(t *testing.T) {
	for _, test := range []struct {
		args string
		says []string
	}{
		{"--cloud nimbus", []string{"nimbus", "aws"}},
		{"--cloud gcp", []string{"aws; gcp is not", "skyd install-skypilot gcp"}},
		{"--cloud aws --region us-central1", []string{"us-central1", "us-east-1", "eu-central-1"}},
		{"--cloud aws --region us-east-1 --zone us-east-1q", []string{"us-east-1q", "us-east-1a"}},
		{"--cloud aws --accelerators A10:1", []string{"A10", "A100", "A10G"}},
		{"--accelerators A100:3", []string{"A100:3", "8"}},
		{"--cpus 2+ --max_hourly_cost 0.01", []string{"0.0850", "c6i.large", "us-east-1"}},
		{"--accelerators A100:8 --use_spot", []string{"spot", "p4d.24xlarge", "32.77"}},
		{"--cloud aws --memory 60000+", []string{"60000+", "1152 GiB"}},
		{"--cloud aws --cpus 512+", []string{"512+", "96 CPUs"}},
	} {
		r := w.try(append([]string{"create", "cluster", "refused", "--provision"}, strings.Fields(test.args)...)...)
		if r.code != 2 || strings.Count(r.stderr, "failed:") != 1 || strings.Contains(r.stderr, "Error:") {
			t.Errorf("%s: exit %d\n%s%s", test.args, r.code, r.stdout, r.stderr)
		}
		for _, words := range test.says {
			if !strings.Contains(r.stderr, words) {
				t.Errorf("%s: stderr does not show %q:\n%s", test.args, words, r.stderr)
			}
		}
	}
	if r := w.try("get", "cluster", "refused"); r.code != 4 {
		t.Errorf("get: exit %d, want 4", r.code)
	}
	w.holdEmpty(t)
}

// failover creates three nodes, with labels and a port, when the first placement has no capacity.
func (w *skyWorld) failover(t *testing.T) {
	asked := w.run("create", "cluster", "aws", "--provision", "--cloud", "aws", "--cpus", "2+", "--num_nodes", "3",
		"--dry-run").stdout
	price := 0.085
	prices := []string{fmt.Sprintf("$%.4f", price), fmt.Sprintf("$%.2f", 3*price)}
	_, rows, _ := strings.Cut(asked, "\n")
	row, _, _ := strings.Cut(rows, "\n")
	if best := strings.Fields(row); len(best) < 5 || best[2] != "us-east-1" ||
		!slices.Equal(best[len(best)-2:], prices) {
		t.Errorf("the plan of a dry run:\n%s", asked)
	}
	w.holdEmpty(t)
	full := w.fault(t, skytest.NoCapacityFault("us-east-1", ""))
	r := w.tryFor(10*time.Minute, "create", "cluster", "aws", "--provision", "--cloud", "aws", "--cpus", "2+",
		"--num_nodes", "3",
		"--labels", "team=ml", "--labels", "example.com/Owner=Ann", "--labels", "skypilot-user=eve", "--ports", "30080",
		"--wait")
	if r.code != 0 {
		t.Fatalf("create: exit %d\n%s%s%s", r.code, r.stdout, r.stderr, w.try("describe", "cluster", "aws").stdout)
	}
	if full.CountRequests() == 0 {
		t.Error("the cheapest region, which has no capacity, was not tried")
	}
	if n := strings.Count(w.kubectl("aws", "get", "nodes", "--no-headers"), " Ready "); n != 3 {
		t.Errorf("%d nodes Ready, want 3", n)
	}
	c := w.cluster("aws")
	p := c.Status.Placement
	if p.Cloud != "aws" || p.Region != "us-west-2" || p.PricePerMachine <= 0 || p.PriceTotal != 3*p.PricePerMachine {
		t.Errorf("placement %+v", p)
	}
	if len(c.Status.Attempts) == 0 || c.Status.Attempts[0].Placement.Region != "us-east-1" ||
		c.Status.Attempts[0].Reason != string(cloud.Capacity) {
		t.Errorf("attempts %+v", c.Status.Attempts)
	}
	for what, said := range map[string]string{"describe": w.run("describe", "cluster", "aws").stdout,
		"get -o wide": w.run("get", "clusters", "-o", "wide").stdout} {
		for _, words := range map[string][]string{
			"describe":    {"do not have sufficient capacity", "us-east-1", "us-west-2", p.InstanceType},
			"get -o wide": {"us-west-2", "$0.27"},
		}[what] {
			if !strings.Contains(said, words) {
				t.Errorf("%s does not show %q:\n%s", what, words, said)
			}
		}
	}
	w.holdInstances(t, c)
	w.holdGroup(t, c)
	if said := w.delete(t, "aws"); !strings.Contains(said, "It cost $") {
		t.Errorf("delete does not print the cluster's cost: %s", said)
	}
}

// holdInstances checks a cluster's machines as AWS shows them.
func (w *skyWorld) holdInstances(t *testing.T, c api.Cluster) {
	t.Helper()
	uid, running := c.Metadata.UID, 0
	for _, m := range w.instances(t, c.Metadata.Name) {
		if m.State != "running" {
			continue
		}
		running++
		if m.Tags[cloud.LabelClusterUID] != uid || m.Tags[cloud.LabelInstallation] == "" ||
			m.Tags[cloud.LabelIndex] == "" || m.Tags[cloud.LabelIncarnation] == "" {
			t.Errorf("instance %s lacks our labels: %v", m.ID, m.Tags)
		}
		if m.Tags["team"] != "ml" || m.Tags["example.com/Owner"] != "Ann" || m.Tags["skypilot-user"] == "eve" {
			t.Errorf("instance %s has labels that AWS does not allow: %v", m.ID, m.Tags)
		}
		if m.Region != c.Status.Placement.Region || !strings.HasPrefix(m.Zone, m.Region) ||
			m.Type != c.Status.Placement.InstanceType || m.Lifecycle != "" {
			t.Errorf("instance %+v does not match the placement %+v", m, c.Status.Placement)
		}
		if m.Profile != "" || m.MetadataToken != "required" {
			t.Errorf("instance %s: profile %q, metadata tokens %q", m.ID, m.Profile, m.MetadataToken)
		}
		if len(m.Groups) != 1 || m.Groups[0].Name != "skyctl-"+uid {
			t.Errorf("instance %s is in the groups %+v", m.ID, m.Groups)
		}
		if ends, err := w.env.AWS.ReadShutdownBehavior(t.Context(), m); err != nil || ends != "terminate" {
			t.Errorf("instance %s at shutdown: %q, %v; it would keep costing money", m.ID, ends, err)
		}
	}
	if running != 3 {
		t.Errorf("%d instances run, want 3", running)
	}
}

// holdGroup checks that all machines are in one group of the cluster. Its members reach each other; the internet
// reaches only SSH, the Kubernetes API and the requested ports.
func (w *skyWorld) holdGroup(t *testing.T, c api.Cluster) {
	t.Helper()
	groups, err := w.env.AWS.ListSecurityGroups(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(groups, func(g skytest.SecurityGroup) bool {
		return g.Name == "skyctl-"+c.Metadata.UID && g.Region == c.Status.Placement.Region
	})
	if at < 0 {
		t.Fatalf("the cluster has no group: %+v", groups)
	}
	for _, g := range groups {
		if !strings.HasPrefix(g.Name, "skyctl-") {
			t.Errorf("SkyPilot created its own group: %+v", g)
		}
	}
	var rules []string
	for _, r := range groups[at].Rules {
		for _, from := range append(slices.Clone(r.CIDRs), r.Groups...) {
			if from == groups[at].ID {
				from = "members"
			}
			what := fmt.Sprintf("%s %d-%d", r.Protocol, r.From, r.To)
			if r.Protocol == "-1" {
				what = "all"
			}
			rules = append(rules, what+" from "+from)
		}
	}
	slices.Sort(rules)
	want := []string{"all from members", "tcp 22-22 from 0.0.0.0/0", "tcp 30080-30080 from 0.0.0.0/0",
		"tcp 6443-6443 from 0.0.0.0/0"}
	if rules = slices.Compact(rules); !slices.Equal(rules, want) {
		t.Errorf("the group allows %q, want %q", rules, want)
	}
}

func (w *skyWorld) noQuota(t *testing.T) {
	none := w.fault(t, skytest.NoQuotaFault("*"))
	r := w.tryFor(10*time.Minute, "create", "cluster", "poor", "--provision", "--cloud", "aws", "--region", "us-west-2",
		"--cpus", "2", "--memory", "4", "--wait")
	if r.code != 1 || !strings.Contains(r.stderr, "vCPU limit") {
		t.Errorf("create: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	c := w.cluster("poor")
	f := c.Status.Failure
	if c.Status.Phase != api.PhaseError || f == nil || f.Reason != string(cloud.Quota) || none.CountRequests() == 0 {
		t.Errorf("%s, failure %+v", c.Status.Phase, f)
	}
	if said := w.run("describe", "cluster", "poor").stdout; !strings.Contains(said, "Quota") ||
		!strings.Contains(said, "VcpuLimitExceeded") {
		t.Errorf("describe does not show the reason:\n%s", said)
	}
	if err := none.Clear(); err != nil {
		t.Fatal(err)
	}
	w.delete(t, "poor")
}

// hanging creates a cluster of one machine, and returns once AWS has created it and holds back its answer.
func (w *skyWorld) hanging(t *testing.T, name string) *skytest.ActiveFault {
	t.Helper()
	hang := w.fault(t, skytest.Fault{Cloud: "aws", Operation: "RunInstances", Hang: true, After: true,
		Cluster: "sky-" + name + "-0-*"})
	w.run("create", "cluster", name, "--provision", "--cloud", "aws", "--cpus", "2+")
	eventually.HoldsWithin(t, patience, "AWS has created the machine", func() bool {
		return hang.CountRequests() > 0 && len(w.instances(t, name)) == 1
	})
	return hang
}

// holdOne checks that the launch ends with the machine that AWS had created.
func (w *skyWorld) holdOne(t *testing.T, name string) {
	t.Helper()
	made := w.instances(t, name)
	c := w.await(name, "up", machinesPast(1, api.MachineUp))
	if after := w.instances(t, name); len(after) != 1 || after[0].ID != made[0].ID ||
		c.Status.Machines[0].CloudID != made[0].ID || len(c.Status.Attempts) > 0 {
		t.Errorf("AWS has had %+v, want only %s; the cluster has %+v", after, made[0].ID, c.Status.Machines)
	}
	w.delete(t, name)
}

func (w *skyWorld) killedSkyd(t *testing.T) {
	hang := w.hanging(t, "orphan")
	w.killSkyd()
	if err := hang.Clear(); err != nil {
		t.Fatal(err)
	}
	w.holdOne(t, "orphan")
}

func (w *skyWorld) killedServer(t *testing.T) {
	hang := w.hanging(t, "forgot")
	raw, err := os.ReadFile(filepath.Join(w.dir, "skypilot", "server.pid"))
	if err != nil {
		t.Fatal(err)
	}
	var group int
	if _, err := fmt.Sscan(string(raw), &group); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(-group, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := hang.Clear(); err != nil {
		t.Fatal(err)
	}
	w.holdOne(t, "forgot")
}
