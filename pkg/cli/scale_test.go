package cli

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/lockedbuffer"
	"github.com/sky-shift/skyctl/test/skydstub"
)

// newReadyCluster creates a cluster of three machines.
func (p *testUser) newReadyCluster(name string) {
	p.t.Helper()
	p.run(createArgs(name)...)
	eventually.Holds(p.t, "READY", func() bool { return strings.Contains(p.run("get", "cluster", name).out, "READY") })
}

// readCluster returns a cluster as it is stored.
func readCluster(t *testing.T, name string) *api.Cluster {
	t.Helper()
	c, err := world.Store.ReadCluster(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// checkOutput checks the exit code, and that out and err have these texts.
func (o runResult) checkOutput(t *testing.T, code int, out, errs string) {
	t.Helper()
	if o.code != code || !strings.Contains(o.out, out) || !strings.Contains(o.err, errs) {
		t.Errorf("exit %d, want %d\nout: %q\nwant in it %q\nerr: %q\nwant in it %q", o.code, code, o.out, out, o.err,
			errs)
	}
}

func TestScaleAndWait(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.newReadyCluster("scaled")
	got := p.run("scale", "cluster", "scaled", "--num_nodes", "5", "--wait")
	got.checkOutput(t, 0, "Cluster scaled is being scaled to 5 machines.\nCluster scaled has 5 machines after ",
		"sky-scaled-3, sky-scaled-4 ")
	if !strings.Contains(got.err, "✔ Changing cluster completed successfully.\n") {
		t.Errorf("%s", got.err)
	}
	p.run("scale", "clusters", "scaled", "--num-nodes", "5").check(t, 0,
		"Cluster scaled was already to have 5 machines.\n",
		"Scaling cluster scaled\n✔ Scaling cluster scaled completed successfully.\n")
	p.run("scale", "cluster", "scaled", "--pool", "default", "--replicas", "1", "--wait", "--timeout",
		"1m").checkOutput(
		t, 0, "Pool default of cluster scaled has 1 machine after ", "")
	if c := readCluster(t, "scaled"); len(c.Status.Machines) != 2 || c.Metadata.Generation != 3 {
		t.Errorf("%d machines, generation %d", len(c.Status.Machines), c.Metadata.Generation)
	}
}

func TestPoolIsCreatedShownAndDeleted(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.newReadyCluster("pooled")
	create := []string{"create", "pool", "gpu", "--cluster", "pooled", "--accelerators", "A100:8", "--use-spot",
		"--replicas", "2", "--max-replicas", "4", "--labels", "tier=train", "--taints",
		"nvidia.com/gpu=present:NoSchedule"}
	p.run(append(create, "--wait")...).checkOutput(t, 0, "Created pool gpu of cluster pooled with 2 machines.\n"+
		"Pool gpu of cluster pooled has 2 machines after ", "sky-pooled-3, sky-pooled-4 ")
	p.run(create...).checkOutput(t, 0, "Cluster pooled already has this pool gpu.\n", "")
	if c := readCluster(t, "pooled"); c.Metadata.Generation != 2 || c.Spec.FindPool("gpu").Taints[0] !=
		"nvidia.com/gpu=present:NoSchedule" {
		t.Errorf("%+v", c.Spec.Pools)
	}
	p.run("get", "pools", "pooled").checkOutput(t, 0,
		"NAME     REPLICAS    READY    INSTANCE    RESOURCES                  SPOT    PRICE/H    AGE\n", "")
	p.run("get", "pools", "pooled").checkOutput(t, 0,
		"gpu      2 (0-4)     2        -           2.0 CPUs, 4.0 GiB, A100:8  yes     free ", "")
	var pools render.PoolList
	if err := json.Unmarshal([]byte(p.run("get", "pools", "pooled", "-o", "json").out), &pools); err != nil ||
		len(pools.Items) != 2 || pools.Items[1].Ready != 2 || pools.Items[1].Machine.Accelerators != "A100:8" {
		t.Errorf("%v, %+v", err, pools)
	}
	p.run("get", "machines", "pooled").checkOutput(t, 0,
		"sky-pooled-3  gpu      worker  Ready    sky-pooled-3-x7k2p  172.30.0.5 ", "")
	if y := p.run("get", "machines", "pooled", "-o", "yaml"); !strings.HasPrefix(y.out, "apiVersion: ") || y.err != "" {
		t.Errorf("%s%s", y.out, y.err)
	}
	p.run("delete", "pool", "gpu", "--cluster", "pooled", "--wait").checkOutput(t, 0,
		"Pool gpu of cluster pooled is being deleted.\nDeleted pool gpu of cluster pooled after ", "")
	p.run("delete", "pool", "gpu", "--cluster", "pooled").checkOutput(t, ExitNotFound, "",
		`cluster "pooled" has no pool gpu (its pools: default)`)
	p.run("delete", "pool", "default", "--cluster", "pooled").checkOutput(t, ExitUsage, "",
		`the question "Delete pool default with the only workers of cluster pooled (2 machines)?", so use --yes`)
	p.run("delete", "pool", "default", "--cluster", "pooled", "--yes", "--wait").checkOutput(t, 0, "Deleted pool", "")
	if c := readCluster(t, "pooled"); len(c.Status.Machines) != 1 || len(c.Spec.Pools) != 0 {
		t.Errorf("%+v", c.Spec)
	}
}

func TestMachineIsReplacedAndDeleted(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.newReadyCluster("picky")
	p.run("replace", "machine", "sky-picky-1", "--wait").checkOutput(t, 0,
		"Machine sky-picky-1 is being replaced.\nReplaced machine sky-picky-1 after ", "")
	if m := readCluster(t, "picky").FindMachine("sky-picky-1"); m.Incarnation != "z9k4q" || m.ReplaceAsked {
		t.Errorf("%+v", m)
	}
	p.run("delete", "machine", "sky-picky-1", "--cluster", "picky", "--wait").checkOutput(t, 0,
		"Machine sky-picky-1 is being deleted.\nDeleted machine sky-picky-1 after ", "")
	if c := readCluster(t, "picky"); c.Spec.FindPool("default").Replicas != 1 || len(c.Status.Machines) != 2 ||
		c.FindMachine("sky-picky-2") == nil {
		t.Errorf("%+v", c.Spec)
	}
	for _, args := range [][]string{{"delete", "machine", "sky-picky-1"}, {"replace", "machine", "sky-picky-9"}} {
		p.run(args...).checkOutput(t, ExitNotFound, "", `cluster "picky" has no machine sky-picky-`)
	}
	for _, verb := range []string{"delete", "replace"} {
		p.run(verb, "machine", "sky-picky-0").checkOutput(t, ExitUsage, "", "this is the only server of the cluster")
	}
	p.run("delete", "machine", "sky-picky-2", "--cluster", "other").checkOutput(t, ExitUsage, "",
		`cluster "other": picky, the cluster of machine sky-picky-2`)
}

func TestDryRunShowsStepsAndPricesAndWritesNothing(t *testing.T) {
	world.StartWorker(t)
	paid := skydstub.DefaultPlacement
	paid.PricePerMachine = 2.5
	world.SetBehavior("local", skydstub.Behavior{Plan: func(api.GroupSpec) (operation.PlanResult, error) {
		return operation.PlanResult{Placements: []api.Placement{paid}}, nil
	}})
	p := newExternalUser(t)
	p.run(createArgs("dry", "--region", "local")...)
	eventually.Holds(t, "READY", func() bool { return strings.Contains(p.run("get", "cluster", "dry").out, "READY") })
	before := readCluster(t, "dry")
	for _, tt := range []struct {
		args []string
		says []string
	}{
		{[]string{"scale", "cluster", "dry", "--num_nodes", "5"}, []string{"add     2 new machines  default  free",
			"Price per hour of the cluster: free before, free after."}},
		{[]string{"scale", "cluster", "dry", "--num_nodes", "2"}, []string{"remove  sky-dry-2  default",
			"Which machines leave"}},
		{[]string{"scale", "cluster", "dry", "--num_nodes", "3"}, []string{"Nothing to change.\n"}},
		{[]string{"create", "pool", "big", "--cluster", "dry", "--replicas", "2"}, []string{
			"add     2 new machines  big     $5.00", "$0.00 before, $5.00 after."}},
		{[]string{"delete", "pool", "default", "--cluster", "dry"}, []string{"remove  sky-dry-1  default",
			"remove  sky-dry-2  default"}},
		{[]string{"replace", "machine", "sky-dry-1"}, []string{"replace  sky-dry-1  default"}},
		{[]string{"delete", "machine", "sky-dry-1"}, []string{"remove  sky-dry-1  default"}},
	} {
		got := p.run(append(tt.args, "--dry-run")...)
		text := strings.Join(strings.Fields(got.out), " ")
		for _, s := range tt.says {
			if got.code != 0 || !strings.Contains(text, strings.Join(strings.Fields(s), " ")) {
				t.Errorf("%v: exit %d, lacks %q:\n%s%s", tt.args, got.code, s, got.out, got.err)
			}
		}
	}
	var result render.ChangePlan
	got := p.run("create", "pool", "big", "--cluster", "dry", "--replicas", "2", "--dry-run", "-o", "json")
	if err := json.Unmarshal([]byte(got.out), &result); err != nil || got.err != "" || len(result.Steps) != 1 ||
		result.Steps[0].Count != 2 || result.PriceAfter != 5 {
		t.Errorf("%v, %+v, %s", err, result, got.err)
	}
	if now := readCluster(t, "dry"); now.Metadata.Revision != before.Metadata.Revision {
		t.Errorf("something was written: %+v", now)
	}
}

func TestBadChangesAreRefusedBeforeAnythingIsWritten(t *testing.T) {
	world.StartWorker(t)
	world.SetBehavior("local", skydstub.Behavior{Plan: func(s api.GroupSpec) (operation.PlanResult, error) {
		if s.CPUs == "4000" {
			return operation.PlanResult{Invalid: []api.FieldError{{Field: "cpus", Value: "4000",
				Want: "at most 8 in region local of docker"}}}, nil
		}
		return operation.PlanResult{Placements: []api.Placement{skydstub.DefaultPlacement}}, nil
	}})
	p := newExternalUser(t)
	p.run(createArgs("strict", "--region", "local")...)
	eventually.Holds(t, "READY", func() bool {
		return strings.Contains(p.run("get", "cluster", "strict").out, "READY")
	})
	before := readCluster(t, "strict")
	scale := func(more ...string) []string { return append([]string{"scale", "cluster", "strict"}, more...) }
	pool := func(name string, more ...string) []string {
		return append([]string{"create", "pool", name, "--cluster", "strict"}, more...)
	}
	for _, tt := range []struct {
		args []string
		says []string
	}{
		{scale(), []string{"use --num_nodes N, or --pool POOL with --replicas N"}},
		{scale("--num_nodes", "3", "--pool", "x"), []string{"not both"}},
		{scale("--num_nodes", "many"), []string{`num_nodes "many"`, "a whole number"}},
		{scale("--num_nodes", ""), []string{`num_nodes ""`}},
		{scale("--num_nodes", "0"), []string{`num_nodes "0"`, "from 1"}},
		{scale("--num_nodes", "100000"), []string{`num_nodes "100000"`, "at most"}},
		{scale("--pool", "default", "--replicas", "-1"), []string{`replicas "-1"`, "from 0"}},
		{scale("--pool", "default", "--replicas", "100000"), []string{`replicas "100000"`, "at most"}},
		{scale("--pool", "Web_1", "--replicas", "1"), []string{`pool "Web_1"`, "lower-case"}},
		{scale("--num_nodes", "3", "--timeout", "5m"), []string{"--timeout needs --wait"}},
		{scale("--num_nodes", "3", "--dry-run", "--wait"), []string{"--wait cannot be used with --dry-run"}},
		{pool("default"), []string{`pool "default"`, "a new name"}},
		{pool("Web_1"), []string{`pool "Web_1"`, "lower-case"}},
		{pool("web", "--replicas", "-1"), []string{`replicas "-1"`}},
		{pool("web", "--replicas", "5", "--max_replicas", "4"), []string{`replicas "5"`, "at most 4"}},
		{pool("web", "--replicas", "1", "--min_replicas", "2"), []string{`replicas "1"`, "at least 2"}},
		{pool("web", "--labels", "kubernetes.io/hostname=x"), []string{"belong to Kubernetes"}},
		{pool("web", "--labels", "x"), []string{`labels "x"`, "key=value"}},
		{pool("web", "--taints", "node.kubernetes.io/x:NoExecute"), []string{"belong to Kubernetes"}},
		{pool("web", "--taints", "a=b"), []string{`taints "a=b"`, "NoSchedule"}},
		{pool("web", "--spot_fallback", "on_demand"), []string{`spot_fallback "on_demand"`, "--use_spot"}},
		{pool("web", "--drain_timeout", "soon"), []string{`drain_timeout "soon"`, "15m"}},
		{pool("web", "--cpus", ""), []string{`cpus ""`, "4+"}},
		{pool("web", "--cpus", "4000"), []string{`cpus "4000"`, "at most 8 in region local"}},
		{pool("web", "--region", "local"), []string{"unknown flag: --region"}},
		{pool("web", "--drain_force=maybe"),
			[]string{`drain_force "maybe": true or false; --drain_force alone is true`}},
		{pool("web", "--dry-run=maybe"), []string{`dry-run "maybe": must be client, server or none`}},
		{[]string{"create", "pool", "web"}, []string{"missing --cluster"}},
		{[]string{"create", "pool", "web", "--cluster", ""}, []string{`cluster "": the name of a cluster`}},
		{[]string{"delete", "pool", "web", "--cluster", "A_b"}, []string{`cluster "A_b": the name of a cluster`}},
		{[]string{"create", "pool"}, []string{"missing the name of a pool"}},
		{[]string{"delete", "pool", "default"}, []string{"missing --cluster"}},
		{[]string{"delete", "machine"}, []string{"missing the name of a machine"}},
		{[]string{"delete", "machine", "web-1"}, []string{`machine "web-1"`, "sky-CLUSTER-INDEX"}},
		{[]string{"replace", "machine", "sky-strict-0"}, []string{"only server"}},
	} {
		got := p.run(tt.args...)
		if got.code != ExitUsage || got.out != "" {
			t.Errorf("%v: exit %d, out %q, err %q", tt.args, got.code, got.out, got.err)
		}
		for _, s := range tt.says {
			if !strings.Contains(got.err, s) {
				t.Errorf("%v: %q lacks %q", tt.args, got.err, s)
			}
		}
	}
	for _, args := range [][]string{
		{"scale", "cluster", "absent", "--num_nodes", "3"}, {"create", "pool", "x", "--cluster", "absent"},
		{"delete", "pool", "x", "--cluster", "absent"}, {"get", "pools", "absent"}, {"get", "machines", "absent"},
		{"replace", "machine", "sky-absent-1"}, {"delete", "machine", "sky-absent-1"},
	} {
		p.run(args...).checkOutput(t, ExitNotFound, "", `cluster "absent" does not exist`)
	}
	if now := readCluster(t, "strict"); now.Metadata.Revision != before.Metadata.Revision {
		t.Errorf("something was written: %+v", now)
	}
}

func TestChangeOfAClusterThatCannotChange(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	world.SetBehavior("failed", skydstub.Behavior{Provision: func(ctx context.Context, w *skydstub.World,
		in operation.ProvisionInput) error {
		return w.FailCreate(ctx, in.Cluster, api.Failure{Step: "join", Reason: "Timeout", Message: "no Node"})
	}})
	p.run(createArgs("failed", "--wait")...)
	p.run("scale", "cluster", "failed", "--num_nodes", "5").checkOutput(t, ExitConflict, "",
		"cluster failed is ERROR and cannot change: its create failed. Run the same create again")
}

func TestOlderWorkerIsRefusedForChanges(t *testing.T) {
	world.StartWorker(t)
	world.SetBehavior("local", skydstub.Behavior{Plan: func(api.GroupSpec) (operation.PlanResult, error) {
		return operation.PlanResult{Placements: []api.Placement{skydstub.DefaultPlacement},
			Worker: &operation.WorkerInfo{Level: api.WorkerLevel}}, nil
	}})
	p := newExternalUser(t)
	p.run(createArgs("aged", "--region", "local")...)
	eventually.Holds(t, "READY", func() bool { return strings.Contains(p.run("get", "cluster", "aged").out, "READY") })
	world.SetBehavior("local", skydstub.Behavior{Plan: func(api.GroupSpec) (operation.PlanResult, error) {
		return operation.PlanResult{Placements: []api.Placement{skydstub.DefaultPlacement},
			Worker: &operation.WorkerInfo{Level: 3, Where: "far away"}}, nil
	}})
	for _, args := range [][]string{
		{"scale", "cluster", "aged", "--num_nodes", "5"}, {"create", "pool", "x", "--cluster", "aged"},
		{"delete", "pool", "default", "--cluster", "aged", "--yes"}, {"replace", "machine", "sky-aged-1"},
		{"delete", "machine", "sky-aged-1"},
	} {
		p.run(args...).checkOutput(t, ExitUsage, "",
			"the team's worker (far away) is an older version that does not know clusters with pools")
	}
	if c := readCluster(t, "aged"); c.Metadata.Generation != 1 {
		t.Errorf("%+v", c.Metadata)
	}
}

func TestStatusSaysWhatIsUnderWay(t *testing.T) {
	world.StartWorker(t)
	release := make(chan struct{})
	world.SetBehavior("moving", skydstub.Behavior{Converge: func(ctx context.Context, w *skydstub.World,
		in operation.ConvergeInput) error {
		if _, err := w.BeginConverge(ctx, in.Cluster, api.MachineLaunching, "launch"); err != nil {
			return err
		}
		<-release
		return w.SucceedConverge(ctx, in.Cluster)
	}})
	p := newExternalUser(t)
	p.newReadyCluster("moving")
	p.run("scale", "cluster", "moving", "--num_nodes", "5").checkOutput(t, 0, "being scaled to 5 machines.\n", "")
	eventually.Holds(t, "the change", func() bool {
		return strings.Contains(p.run("get", "clusters").out, "READY (adding 2, removing 0)")
	})
	p.run("describe", "cluster", "moving").checkOutput(t, 0,
		"Generation:  2 is wanted, 1 is reached\nUnder way:   adding 2, removing 0, for ", "")
	ctx, interrupt := context.WithCancel(t.Context())
	var out, errs lockedbuffer.Buffer
	done := make(chan int)
	go func() {
		done <- Run(ctx, p.environment(nil, &out, &errs), []string{"scale", "cluster", "moving", "--num_nodes", "5",
			"--wait"})
	}()
	eventually.Holds(t, "it waits", func() bool { return strings.Contains(errs.String(), "Changing cluster\n") })
	time.AfterFunc(50*time.Millisecond, interrupt)
	if code := <-done; code != ExitInterrupted || !strings.HasSuffix(errs.String(),
		"The operation continues. To see it: skyctl get machines moving, or skyctl describe cluster moving\n") {
		t.Errorf("exit %d: %s", code, errs.String())
	}
	close(release)
	eventually.Holds(t, "five machines", func() bool { return readCluster(t, "moving").Status.Operation == nil })
}

func TestNamesOfPoolsAndMachinesAreCompleted(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.newReadyCluster("known")
	for line, want := range map[string]string{
		"scale cluster known --pool ":  "default\t2 machines of known\n:4\n",
		"scale cluster ":               "known\tREADY\n:4\n",
		"delete pool --cluster known ": "default\t2 machines of known\n:4\n",
		"delete pool x --cluster ":     "known\tREADY\n:4\n",
		"replace machine ": "sky-known-1\tworker of pool default, Ready\n" +
			"sky-known-2\tworker of pool default, Ready\n:4\n",
		"delete machine --cluster x ":    ":4\n",
		"create pool x --spot_fallback ": "on_demand\tmachines at the full price if there is no spot machine\n:4\n",
		"create pool x --cpus ":          ":4\n",
	} {
		if got := p.run(append([]string{"__complete"}, strings.Split(line, " ")...)...); got.code != 0 ||
			got.out != want {
			t.Errorf("%q: exit %d, %q, want %q", line, got.code, got.out, want)
		}
	}
}
