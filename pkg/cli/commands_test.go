package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/fixture"
	"github.com/sky-shift/skyctl/test/lockedbuffer"
	"github.com/sky-shift/skyctl/test/pseudoterminal"
	"github.com/sky-shift/skyctl/test/skydstub"
)

func (o runResult) check(t *testing.T, code int, out, errs string) {
	t.Helper()
	if o.code != code || o.out != out || o.err != errs {
		t.Errorf("exit %d, want %d\nout: %q\nwant %q\nerr: %q\nwant %q", o.code, code, o.out, out, o.err, errs)
	}
}

func createArgs(name string, more ...string) []string {
	return append([]string{"create", "cluster", name, "--provision", "--cloud", "docker", "--cpus", "2+", "--num_nodes",
		"3"}, more...)
}

func TestCreateAndGetMatchTheTranscript(t *testing.T) {
	world.StartWorker(t)
	hold := make(chan struct{})
	world.SetBehavior("cloud-cluster", skydstub.Behavior{Provision: func(ctx context.Context, w *skydstub.World,
		in operation.ProvisionInput) error {
		if err := w.MoveCluster(ctx, in.Cluster, api.PhaseProvisioning, api.MachineLaunching, "launch"); err != nil {
			return err
		}
		<-hold
		return w.SucceedCreate(ctx, in.Cluster)
	}})
	p := newExternalUser(t)
	created, accepted := p.run(createArgs("cloud-cluster")...), regexp.MustCompile("^Creating cluster\n✔ Creating "+
		"cluster completed successfully\\.\nAccepted; cluster cloud-cluster is not READY yet[^\n]*\\.\n"+
		"To watch it: skyctl get cluster cloud-cluster -w\n$")
	if created.code != 0 || created.out != "Created cluster cloud-cluster.\n" || !accepted.MatchString(created.err) {
		t.Errorf("exit %d\n%s%s", created.code, created.out, created.err)
	}
	eventually.Holds(t, "PROVISIONING", func() bool {
		return strings.Contains(p.run("get", "cluster", "cloud-cluster").out, "PROVISIONING")
	})
	got := p.run("get", "cluster", "cloud-cluster")
	lines := strings.Split(got.out, "\n")
	if got.code != 0 || lines[0] != "NAME           MANAGER    LABELS    RESOURCES    STATUS        AGE" ||
		!strings.HasPrefix(lines[1], "cloud-cluster  k8                   {}           PROVISIONING  ") ||
		got.err != "Fetching clusters\n✔ Fetching clusters completed successfully.\n" {
		t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
	}
	close(hold)
	eventually.Holds(t, "READY", func() bool {
		return strings.Contains(p.run("get", "clusters").out, "cpus: 2.01/4.0             READY")
	})
	if again := p.run(createArgs("cloud-cluster")...); again.code != ExitConflict ||
		again.err != "Creating cluster\n✗ Creating cluster failed: cluster cloud-cluster exists: it is READY\n" {
		t.Errorf("exit %d: %q", again.code, again.err)
	}
	if other := p.run(createArgs("cloud-cluster", "--memory", "8")...); other.code != ExitConflict ||
		!strings.Contains(other.err, "memory is unset, requested is 8") {
		t.Errorf("exit %d: %q", other.code, other.err)
	}
}

func TestCreateWaitShowsProgressAndWritesTheKubeconfig(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.env["SKYCTL_SECRETS_KEY_FILE"] = world.Config.SecretsKeyFile
	got := p.run(createArgs("awaited", "--wait")...)
	path := filepath.Join(p.env[config.EnvDir], "clusters", "awaited", "kubeconfig")
	for _, want := range []string{"sky-awaited-0, sky-awaited-1, sky-awaited-2 ", "awaited is READY",
		"✔ Provisioning cluster completed successfully.\n",
		"Use it with: export KUBECONFIG=" + path + "\n"} {
		if !strings.Contains(got.err, want) {
			t.Errorf("stderr lacks %q:\n%s", want, got.err)
		}
	}
	if got.code != 0 || !strings.HasPrefix(got.out,
		"Created cluster awaited.\nCluster awaited is READY: 3 machines after ") || strings.Contains(got.err, "\x1b") {
		t.Errorf("exit %d, out %q, err %q", got.code, got.out, got.err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	p.run("get", "kubeconfig", "awaited").check(t, 0, string(skydstub.NewKubeconfig("awaited")), "")

	if gone := p.run("delete", "cluster", "awaited", "--yes", "--wait"); gone.code != 0 ||
		gone.out != "Deleted cluster awaited.\n" {
		t.Errorf("exit %d: %q %q", gone.code, gone.out, gone.err)
	}
	if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the local files still exist: %v", err)
	}
}

func TestKubeconfigWithoutTheSecretsKeyIsRefused(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	got := p.run(createArgs("sealed", "--wait")...)
	if got.code != ExitFailed || !strings.Contains(got.err, "cluster sealed is READY, but: ") ||
		!strings.Contains(got.err, "secrets.key is missing: copy it") {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
	if got := p.run("get", "kubeconfig", "sealed"); got.code != ExitFailed ||
		!strings.Contains(got.err, "secrets.key is missing") {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
	if _, err := os.Stat(filepath.Join(p.env[config.EnvDir], "secrets.key")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key was created that encrypts nothing: %v", err)
	}
}

func TestFailedCreateShowsStepMachineReasonAndLog(t *testing.T) {
	world.StartWorker(t)
	world.SetBehavior("doomed", skydstub.Behavior{Provision: func(ctx context.Context, w *skydstub.World,
		in operation.ProvisionInput) error {
		return w.FailCreate(ctx, in.Cluster, api.Failure{Step: "join", Machine: "sky-doomed-1", Reason: "Timeout",
			Message: "no Node in 10m0s", Log: []string{"401 Unauthorized"}})
	}})
	p := newExternalUser(t)
	got := p.run(createArgs("doomed", "--wait")...)
	want := "✗ Provisioning cluster failed: join on sky-doomed-1: Timeout: no Node in 10m0s\n" +
		"  Last log lines:\n    | 401 Unauthorized\n" +
		"  For details: skyctl describe cluster doomed\n"
	if got.code != ExitFailed || !strings.Contains(got.err, want) || strings.Count(got.err, "no Node in 10m0s") != 1 {
		t.Errorf("exit %d\n%s\nwant in it\n%s", got.code, got.err, want)
	}
	if d := p.run("describe", "cluster", "doomed"); d.code != 0 || !strings.Contains(d.out, "| 401 Unauthorized") ||
		!strings.Contains(d.out, "/namespaces/skyctl/workflows/cluster%2Fdoomed") {
		t.Errorf("exit %d\n%s", d.code, d.out)
	}
	world.SetBehavior("doomed", skydstub.Behavior{})
	if again := p.run(createArgs("doomed")...); again.code != 0 ||
		again.out != "Resumed cluster doomed.\n" {
		t.Errorf("exit %d: %q %q", again.code, again.out, again.err)
	}
}

func TestCtrlCLeavesTheOperationRunningAndSaysHowToFollow(t *testing.T) {
	world.StartWorker(t)
	release := make(chan struct{})
	world.SetBehavior("left", skydstub.Behavior{Provision: func(ctx context.Context, w *skydstub.World,
		in operation.ProvisionInput) error {
		<-release
		return w.SucceedCreate(ctx, in.Cluster)
	}})
	p := newExternalUser(t)
	ctx, interrupt := context.WithCancel(t.Context())
	var out, errs lockedbuffer.Buffer
	done := make(chan int)
	go func() { done <- Run(ctx, p.environment(nil, &out, &errs), createArgs("left", "--wait")) }()
	eventually.Holds(t, "it waits", func() bool { return strings.Contains(errs.String(), "Provisioning cluster") })
	interrupt()
	if code := <-done; code != ExitInterrupted ||
		!strings.HasSuffix(errs.String(), "The operation continues. To see it: skyctl get cluster left -w, or skyctl "+
			"describe cluster left\n") {
		t.Errorf("exit %d: %s", code, errs.String())
	}
	close(release)
	eventually.Holds(t, "READY", func() bool { return strings.Contains(p.run("get", "cluster", "left").out, "READY") })
}

func TestInvalidRequestsAreRejectedBeforeAnythingStarts(t *testing.T) {
	p := &testUser{t: t, env: map[string]string{config.EnvDir: filepath.Join(t.TempDir(), "never")}}
	for _, tt := range []struct {
		args []string
		says []string
	}{
		{[]string{"create", "cluster", "x"}, []string{`provision "false": `, "--provision"}},
		{createArgs("Upper"), []string{`name "Upper"`}},
		{createArgs(strings.Repeat("a", 60)), []string{"at most", "60"}},
		{createArgs("x", "--cpus", "0"), []string{`cpus "0"`, "4+"}},
		{createArgs("x", "--cpus=-1"), []string{`cpus "-1"`}},
		{createArgs("x", "--cpus", "1e9"), []string{`cpus "1e9"`}},
		{createArgs("x", "--memory", "16GB"), []string{`memory "16GB"`, "GiB"}},
		{createArgs("x", "--disk-size", "1TB"), []string{`disk_size "1TB"`, "GiB"}},
		{createArgs("x", "--num_nodes", "0"), []string{`num_nodes "0"`}},
		{createArgs("x", "--num-nodes", "-3"), []string{`num_nodes "-3"`}},
		{createArgs("x", "--num_nodes", "100000"), []string{`num_nodes "100000"`}},
		{createArgs("x", "--num_nodes", "many"), []string{`num_nodes "many"`}},
		{createArgs("x", "--manager", "slurm"), []string{`manager "slurm"`}},
		{createArgs("x", "--accelerators", "A100:none"), []string{`accelerators "A100:none"`, "A100:8"}},
		{createArgs("x", "--labels", "nokey"), []string{`labels "nokey"`}},
		{createArgs("x", "--ports", "0"), []string{`ports "0"`}},
		{createArgs("x", "--ports", "30-20,70000"), []string{`ports "30-20"`, `ports "70000"`}},
		{createArgs("x", "--ports", "80", "--ports", "80"), []string{`ports "80"`}},
		{createArgs("Y", "--cpus", "abc", "--num_nodes", "0"), []string{`name "Y"`, `cpus "abc"`, `num_nodes "0"`}},
		{createArgs("x", "--timeout", "soon"), []string{`timeout "soon"`, "30m"}},
		{createArgs("x", "--colour", "red"), []string{"unknown flag: --colour", "skyctl create cluster --help"}},
		{[]string{"create", "cluster"}, []string{"missing the name of a cluster"}},
		{[]string{"get", "clusters", "a", "a"}, []string{"cluster a is named twice"}},
		{[]string{"get", "clusters", "-o", "jsonpath="}, []string{`output "jsonpath="`, "must have its template"}},
		{[]string{"get", "clusters", "-o", "jsonpath={"}, []string{`output "jsonpath={"`, "must be a valid template"}},
		{[]string{"get", "clusters", "-o", "jsonpath-file=none"}, []string{"no such file"}},
		{[]string{"get", "clusters", "-o", "json=x"}, []string{"-o json takes no template"}},
		{[]string{"get", "clusters", "-o", "xml"}, []string{`output "xml"`, "table, wide, json, yaml"}},
		{[]string{"get", "events", "a", "b"}, []string{"takes one name, not 2"}},
		{[]string{"get", "orphans", "a"}, []string{"takes no arguments"}},
		{[]string{"delete", "orphans"}, []string{"use --yes"}},
		{[]string{"delete", "orphans", "", "--yes"}, []string{"the name of an orphan is empty"}},
		{[]string{"reconcile", "--wait"}, []string{"needs the name of a cluster"}},
		{[]string{"reconcile", "x", "--timeout", "5m"}, []string{"--timeout needs --wait"}},
		{[]string{"reconcile", "Upper"}, []string{`name "Upper"`}},
		{[]string{"pause", "x"}, []string{`unknown command "x"`}},
		{[]string{"resume"}, []string{"needs a subcommand: reconcile"}},
		{[]string{"get", "clutsers"}, []string{"did you mean clusters?"}},
		{[]string{"delete", "cluster", "x"}, []string{"use --yes"}},
		{[]string{"get", "clusters", "--etcd-endpoints", "http://e:2379"}, []string{"temporal.address is not"}},
		{[]string{"fetch"}, []string{`unknown command "fetch"`}},
	} {
		got := p.run(tt.args...)
		if got.code != ExitUsage || got.out != "" {
			t.Errorf("%v: exit %d, out %q", tt.args, got.code, got.out)
		}
		for _, s := range tt.says {
			if !strings.Contains(got.err, s) {
				t.Errorf("%v: %q lacks %q", tt.args, got.err, s)
			}
		}
		if n := strings.Count(got.err, "\n"); n != max(1, strings.Count(got.err, "Error: ")) {
			t.Errorf("%v: %d lines:\n%s", tt.args, n, got.err)
		}
	}
	if _, err := os.Stat(p.env[config.EnvDir]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the state directory was touched: %v", err)
	}
}

func TestMissingClusterExitsWithFour(t *testing.T) {
	p := newExternalUser(t)
	for _, args := range [][]string{
		{"get", "cluster", "absent"}, {"get", "cluster", "absent", "-w"}, {"describe", "cluster", "absent"},
		{"get", "kubeconfig", "absent"}, {"get", "kubeconfig", "absent", "--merge"}, {"use", "absent"},
		{"delete", "cluster", "absent", "--yes"}, {"delete", "cluster", "absent"},
		{"get", "cluster", "absent", "-o", "json"},
		{"get", "events", "absent"}, {"get", "events", "absent", "-w"}, {"reconcile", "absent"},
		{"pause", "reconcile", "absent"}, {"resume", "reconcile", "absent"},
	} {
		if got := p.run(args...); got.code != ExitNotFound || got.out != "" ||
			!strings.Contains(strings.ReplaceAll(got.err, `\"`, `"`), `cluster "absent" does not exist`) { // or in JSON
			t.Errorf("%v: exit %d, %q, %q", args, got.code, got.out, got.err)
		}
	}
}

func TestUnreachableServerExitsWithFiveInOneLine(t *testing.T) {
	for setting, name := range map[string]string{"SKYCTL_TEMPORAL_ADDRESS": "Temporal",
		"SKYCTL_ETCD_ENDPOINTS": "etcd"} {
		p := newExternalUser(t)
		p.env[setting] = map[string]string{"Temporal": "127.0.0.1:1", "etcd": "https://127.0.0.1:1"}[name]
		got := p.run(createArgs("nowhere")...)
		if got.code != ExitUnreachable || strings.Count(got.err, "\n") != 2 ||
			!strings.Contains(got.err, "✗ Creating cluster failed: "+name+" at ") {
			t.Errorf("%s: exit %d, %q", name, got.code, got.err)
		}
		if got := p.run("server", "status"); got.code != ExitUnreachable {
			t.Errorf("server status: exit %d, %s%s", got.code, got.out, got.err)
		}
	}
	if _, err := world.Store.ReadCluster(t.Context(), "nowhere"); err == nil {
		t.Error("the cluster was written")
	}
}

func TestStructuredOutputLeavesStderrEmpty(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.run(createArgs("data", "--labels", "a=b")...)
	eventually.Holds(t, "READY", func() bool { return strings.Contains(p.run("get", "cluster", "data").out, "READY") })
	one := p.run("get", "cluster", "data", "-o", "json")
	var c api.Cluster
	if err := json.Unmarshal([]byte(one.out), &c); err != nil || c.Kind != "Cluster" || c.Metadata.Labels["a"] != "b" ||
		len(c.Status.Machines) != 3 || one.err != "" {
		t.Errorf("%v, %q\n%s", err, one.err, one.out)
	}
	var list render.ClusterList
	if err := json.Unmarshal([]byte(p.run("get", "clusters", "-o", "json").out), &list); err != nil ||
		list.Kind != "ClusterList" || list.APIVersion != api.APIVersion || len(list.Items) == 0 {
		t.Errorf("%v: %+v", err, list)
	}
	if again := p.run("get", "cluster", "data", "-o", "json"); again.out != one.out {
		t.Error("the same object is printed in two forms")
	}
	if y := p.run("get", "cluster", "data", "-o", "yaml"); !strings.HasPrefix(y.out, "apiVersion: ") || y.err != "" {
		t.Errorf("%s%s", y.out, y.err)
	}
	if w := p.run("get", "cluster", "data", "-o", "wide"); !strings.Contains(w.out, "3/3") ||
		!strings.Contains(w.out, "free") {
		t.Errorf("%s", w.out)
	}
	file := p.run(createArgs("other", "--dry-run", "-o", "json")...)
	if !strings.Contains(file.out, `"cloud": "docker"`) || file.code != 0 || file.err != "" {
		t.Errorf("exit %d: %s%s", file.code, file.out, file.err)
	}
	if got := p.run("get", "cluster", "other"); got.code != ExitNotFound {
		t.Errorf("a dry run created the cluster: exit %d", got.code)
	}
}

func TestWatchPrintsChangesUntilCtrlC(t *testing.T) {
	world.StartWorker(t)
	release := make(chan struct{})
	world.SetBehavior("watched", skydstub.Behavior{Provision: func(ctx context.Context, w *skydstub.World,
		in operation.ProvisionInput) error {
		<-release
		return w.SucceedCreate(ctx, in.Cluster)
	}})
	p := newExternalUser(t)
	p.run(createArgs("watched")...)
	ctx, interrupt := context.WithCancel(t.Context())
	var out, errs lockedbuffer.Buffer
	done := make(chan int)
	go func() {
		done <- Run(ctx, p.environment(nil, &out, &errs), []string{"get", "clusters", "watched", "-w"})
	}()
	eventually.Holds(t, "the first row", func() bool { return strings.Contains(out.String(), "INIT") })
	close(release)
	eventually.Holds(t, "READY", func() bool { return strings.Contains(out.String(), "READY") })
	time.AfterFunc(50*time.Millisecond, interrupt)
	if code := <-done; code != ExitInterrupted || errs.String() != "" {
		t.Errorf("exit %d, %q", code, errs.String())
	}
	if n := strings.Count(out.String(), "NAME "); n != 1 || strings.Count(out.String(), " READY ") != 1 {
		t.Errorf("got\n%s", out.String())
	}
}

func TestWideRowsOfAWatchCountReadyNodes(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.newReadyCluster("broad")
	ctx, interrupt := context.WithCancel(t.Context())
	out, done := new(lockedbuffer.Buffer), make(chan int)
	go func() {
		done <- Run(ctx, p.environment(nil, out, out), []string{"get", "clusters", "-w", "-o", "wide"})
	}()
	row := func(labels string) bool {
		return regexp.MustCompile(`(?m)^broad .*` + labels + `.* READY .* 3/3 `).MatchString(out.String())
	}
	eventually.Holds(t, "the first row", func() bool { return row("") })
	p.run("label", "cluster", "broad", "team=web").checkOutput(t, 0, "Labeled", "")
	eventually.Holds(t, "the row with the label", func() bool { return strings.Contains(out.String(), "team: web") })
	interrupt()
	<-done
	if strings.Contains(out.String(), " 0/3 ") || !row("team: web") {
		t.Errorf("ready nodes are missing:\n%s", out.String())
	}
}

// storeCreateTimes records how many seconds creates of three machines on Docker took, for this test only.
func storeCreateTimes(t *testing.T, seconds ...int) {
	t.Helper()
	forget := func() {
		key := strings.TrimRight(world.Config.Etcd.Prefix, "/") + "/cloud-create-times/"
		if _, err := plainEtcd(t).Delete(context.Background(), key, clientv3.WithPrefix()); err != nil {
			t.Error(err)
		}
	}
	forget()
	t.Cleanup(forget)
	for _, took := range seconds {
		if err := world.Store.RecordCreateTime(t.Context(), "docker",
			api.CreateTime{Machines: 3, Seconds: took}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWatchSaysHowFarACreateIs(t *testing.T) {
	world.StartWorker(t)
	storeCreateTimes(t, 30000)
	launched, release := make(chan struct{}), make(chan struct{})
	world.SetBehavior("halfway", skydstub.Behavior{Provision: func(ctx context.Context, w *skydstub.World,
		in operation.ProvisionInput) error {
		err := w.MoveCluster(ctx, in.Cluster, api.PhaseProvisioning, api.MachineReserved, "launch")
		<-launched
		err = errors.Join(err, w.MoveCluster(ctx, in.Cluster, api.PhaseProvisioning, api.MachineUp, "prepare"))
		<-release
		return errors.Join(err, w.SucceedCreate(ctx, in.Cluster))
	}})
	p := newExternalUser(t)
	p.run(createArgs("halfway")...)
	eventually.Holds(t, "PROVISIONING", func() bool {
		return readCluster(t, "halfway").Status.Phase == api.PhaseProvisioning
	})
	ctx, interrupt := context.WithCancel(t.Context())
	one, all, objects := new(lockedbuffer.Buffer), new(lockedbuffer.Buffer), new(lockedbuffer.Buffer)
	term := pseudoterminal.Open(t, 140, 24)
	onTerminal := p.onTerminal(term)
	done := make(chan int)
	for _, watch := range []struct {
		env  Environment
		args []string
	}{{p.environment(nil, one, one), []string{"get", "cluster", "halfway", "-w"}},
		{p.environment(nil, all, all), []string{"get", "clusters", "-w"}},
		{p.environment(nil, objects, objects), []string{"get", "clusters", "-w", "-o", "json"}},
		{onTerminal, []string{"get", "clusters", "-w"}}} {
		go func() { done <- Run(ctx, watch.env, watch.args) }()
	}
	row := regexp.MustCompile(`(?m)^halfway .* PROVISIONING {3,}\d+s\n`)
	eventually.Holds(t, "the first row", func() bool {
		return row.MatchString(one.String()) && row.MatchString(all.String()) &&
			strings.Contains(objects.String(), `"name": "halfway"`) && strings.Contains(term.Text(), " (0%, about ")
	})
	close(launched)
	next := regexp.MustCompile(`(?m)^halfway .* PROVISIONING \(40%, about 8h[^)]* left\) `)
	eventually.Holds(t, "the row of machines that are up", func() bool {
		return next.MatchString(one.String()) && next.MatchString(all.String()) &&
			strings.Contains(term.Text(), " (40%, about ")
	})
	close(release)
	eventually.Holds(t, "READY", func() bool {
		return strings.Contains(one.String(), " READY ") && strings.Contains(all.String(), " READY ")
	})
	interrupt()
	for range 4 {
		<-done
	}
	if strings.Contains(all.String(), "READY (") {
		t.Errorf("a READY cluster has notes of a create:\n%s", all.String())
	}
	if strings.Contains(objects.String(), `"machines": [`) {
		t.Errorf("objects have machines at times:\n%s", objects.String())
	}
}

func TestPurgeListsMachinesThatMayStillCostMoney(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.run(createArgs("lost")...)
	eventually.Holds(t, "READY", func() bool { return strings.Contains(p.run("get", "cluster", "lost").out, "READY") })
	got := p.run("delete", "cluster", "lost", "--yes", "--purge")
	if got.code != 0 || !strings.Contains(got.err, "may keep costing money") ||
		!strings.Contains(got.err, "sky-lost-2") ||
		got.out != "Cluster lost is being deleted.\n" {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
}

func TestMissingWorkerErrorNamesTheTaskQueue(t *testing.T) {
	p := newExternalUser(t)
	p.env["SKYCTL_TEMPORAL_TASK_QUEUE"] = "deserted"
	got := p.run("server", "status")
	if got.code != ExitUnreachable || !strings.Contains(got.out, "no worker is listening on task queue deserted") {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
}

func TestNamesAreCompletedIfServersAnswer(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.run(createArgs("complete-me")...)
	if got := p.run("__complete", "describe", "cluster", ""); !strings.Contains(got.out, "complete-me\t") {
		t.Errorf("%s%s", got.out, got.err)
	}
	offline := &testUser{t: t, env: map[string]string{config.EnvDir: filepath.Join(t.TempDir(), "never")}}
	if got := offline.run("__complete", "describe", "cluster", ""); got.code != 0 ||
		strings.Contains(got.out, "complete-me") {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
	if _, err := os.Stat(offline.env[config.EnvDir]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("completion started a server: %v", err)
	}
}

func TestServersThatAreTooSmallAreBadInput(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	small := []string{"create", "cluster", "little", "--provision", "--cloud", "docker", "--cpus", "1+", "--memory",
		"2"}
	for _, more := range [][]string{nil, {"--dry-run"}, {"--dry-run", "-o", "yaml"}} {
		got := p.run(append(small, more...)...)
		got.checkOutput(t, ExitUsage, "", `cpus "1+": at least 2 CPUs for the machine of a server`)
		got.checkOutput(t, ExitUsage, "", `memory "2": at least 4 GiB`)
	}
	p.run("get", "cluster", "little").checkOutput(t, ExitNotFound, "", "")
	p.run(createArgs("little", "--dry-run")...).checkOutput(t, 0, "docker",
		"RKE2's own pods request 1.35 CPUs and 2.1 GiB of the server, 0.5 CPUs and 0.1 GiB of each worker.")
}

func TestTheSameCreateWithWaitShowsTheProgressOfTheFirst(t *testing.T) {
	world.StartWorker(t)
	hold, launching := make(chan struct{}), make(chan struct{})
	world.SetBehavior("attached", skydstub.Behavior{Provision: func(ctx context.Context, w *skydstub.World,
		in operation.ProvisionInput) error {
		err := w.MoveCluster(ctx, in.Cluster, api.PhaseProvisioning, api.MachineLaunching, "launch")
		close(launching)
		<-hold
		_, late := w.Store.UpdateCluster(ctx, in.Cluster, func(c *api.Cluster) error {
			c.Status.SetCondition(api.NewAddOnsCondition([]string{"no CoreDNS"}), fixture.Noon)
			return nil
		})
		return errors.Join(err, late, w.SucceedCreate(ctx, in.Cluster))
	}})
	p := newExternalUser(t)
	p.env["SKYCTL_SECRETS_KEY_FILE"] = world.Config.SecretsKeyFile
	storeCreateTimes(t, 400, 500, 3000)
	p.run(createArgs("attached")...).checkOutput(t, 0, "Created cluster attached.\n", "Accepted; cluster attached is "+
		"not READY yet: that takes about 8m20s, from 3 earlier creates on this cloud.\nTo watch it: skyctl get "+
		"cluster attached -w\n")
	<-launching
	again := p.run(createArgs("attached")...)
	if again.code != ExitConflict || !strings.Contains(again.err,
		"is being created already (PROVISIONING). To watch it: "+
			"run the same create with --wait, or skyctl get cluster attached -w\n") {
		t.Errorf("exit %d: %s", again.code, again.err)
	}
	var out, errs lockedbuffer.Buffer
	code := make(chan int)
	go func() { code <- Run(t.Context(), p.environment(nil, &out, &errs), createArgs("attached", "--wait")) }()
	eventually.Holds(t, "the progress is shown", func() bool {
		return strings.Contains(errs.String(), "s left, from 3 earlier creates\n")
	})
	close(hold)
	if code := <-code; code != 0 || !strings.HasPrefix(out.String(),
		"Cluster attached is being created already.\nCluster attached is READY: 3 machines after ") ||
		!strings.Contains(errs.String(), "Warning: AddOnsReady=False: pods may not run as usual yet: no CoreDNS\n") {
		t.Errorf("exit %d\n%s%s", code, out.String(), errs.String())
	}
}
