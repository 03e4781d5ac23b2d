package external

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	postgresschema "go.temporal.io/server/schema/postgresql/v12"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/test/process"
)

// stack is shared: a test that stops a service restarts it.
var stack *Stack

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "skyctl-external-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if stack, err = StartStack(context.Background(), Options{Bins: bins(), Dir: dir}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := stack.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping:", err)
		return 1
	}
	return code
}

func bins() string {
	dir := os.Getenv("SKYCTL_TEST_BIN")
	if dir == "" {
		dir = "../../bin"
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		panic(err)
	}
	return abs
}

// skyctl runs the command line with only the given environment.
func skyctl(t *testing.T, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return skyctlIn(t, nil, env, args...)
}

// skyctlIn is skyctl behind another command, such as nsenter into a network.
func skyctlIn(t *testing.T, enter, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	r, err := process.Run(ctx, process.Options{
		Argv: slices.Concat(enter, []string{filepath.Join(bins(), "skyctl")}, args),
		Env:  append([]string{"PATH=/usr/bin:/bin", "HOME=" + t.TempDir()}, env...)})
	if err != nil {
		t.Fatalf("skyctl %s: %v", strings.Join(args, " "), err)
	}
	return r.Code, r.Stdout, r.Stderr
}

// member is a team member's environment: settings and certificate.
func member(t *testing.T) *config.Config {
	t.Helper()
	env := map[string]string{}
	for _, e := range stack.SkyctlEnv() {
		k, v, _ := strings.Cut(e, "=")
		env[k] = v
	}
	cfg, err := config.Load(nil, func(k string) string { return env[k] })
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func temporal(t *testing.T) client.Client {
	t.Helper()
	cfg := member(t)
	tls, err := cfg.Temporal.TLS.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.DialContext(t.Context(), client.Options{
		HostPort: cfg.Temporal.Address, Namespace: cfg.Temporal.Namespace,
		ConnectionOptions: client.ConnectionOptions{TLS: tls},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestBothDatabasesHaveTheServersSchema(t *testing.T) {
	for database, want := range map[string]string{
		"temporal": postgresschema.Version, "temporal_visibility": postgresschema.VisibilityVersion,
	} {
		got, err := stack.postgres.runQuery(t.Context(), database, "select curr_version from schema_version")
		if err != nil || got != want {
			t.Errorf("%s has version %q, want %q (%v)", database, got, want, err)
		}
	}
}

func TestOneShotServicesCanRunAgain(t *testing.T) {
	before, err := os.ReadFile(filepath.Join(stack.place.certificatesDir(), "etcd", "tls.crt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"certificates", "schema", "namespace"} {
		if err := stack.StartService(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
	after, err := os.ReadFile(filepath.Join(stack.place.certificatesDir(), "etcd", "tls.crt"))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("a valid certificate was recreated (%v)", err)
	}
}

func TestNamespaceHasItsRetentionAndSearchAttributes(t *testing.T) {
	c := temporal(t)
	ns, err := c.WorkflowService().DescribeNamespace(t.Context(),
		&workflowservice.DescribeNamespaceRequest{Namespace: "skyctl"})
	if err != nil {
		t.Fatal(err)
	}
	if got := ns.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration(); got != 7*24*time.Hour {
		t.Errorf("retention %v", got)
	}
	attributes, err := c.OperatorService().ListSearchAttributes(t.Context(),
		&operatorservice.ListSearchAttributesRequest{Namespace: "skyctl"})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []string{"ClusterName", "Operation"} {
		if _, ok := attributes.GetCustomAttributes()[a]; !ok {
			t.Errorf("no search attribute %s", a)
		}
	}
}

func TestSkyctlNeedsOnlyEnvironmentVariables(t *testing.T) {
	code, stdout, stderr := skyctl(t, stack.SkyctlEnv(), "get", "clusters", "-o", "json")
	if code != 0 {
		t.Fatalf("get clusters: exit %d\n%s%s", code, stdout, stderr)
	}
	// The plan is a workflow: the worker runs it and returns the errors of the spec.
	code, stdout, stderr = skyctl(t, stack.SkyctlEnv(), "create", "cluster", "plan", "--provision", "--cloud", "docker",
		"--cpus", "1000", "--dry-run")
	if code != 2 || !strings.Contains(stderr, "cpus") {
		t.Errorf("dry run that no machine can satisfy: exit %d\n%s%s", code, stdout, stderr)
	}
	code, _, stderr = skyctl(t, stack.SkyctlEnv(), "get", "cluster", "plan")
	if code != 4 {
		t.Errorf("a dry run left a cluster: exit %d\n%s", code, stderr)
	}
	noDev(t, stack.StateDir())
}

func TestMemberNeedsOnlyTheBundle(t *testing.T) {
	var bundle bytes.Buffer
	if err := stack.WriteMemberBundle(t.Context(), "ann", &bundle); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	dir := filepath.Join(home, ".skyconf")
	if err := extractTar(&bundle, dir); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := skyctl(t, []string{"HOME=" + home}, "get", "clusters"); code != 0 {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	_, stdout, stderr := skyctl(t, []string{"HOME=" + home}, "check", "--cloud", "docker")
	if row := regexp.MustCompile(`(?m)^gateway +yes .*` + stack.GatewayAddress()); !row.MatchString(stdout) {
		t.Errorf("the gateway to machines does not answer:\n%s%s", stdout, stderr)
	}
	for _, name := range []string{"team/tls.key", "team/secrets.key", "config.yaml"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	noDev(t, dir)
}

// noDev fails if skyctl or skyd started its own Temporal or etcd.
func noDev(t *testing.T, stateDir string) {
	t.Helper()
	cfg, err := config.Load(nil, func(k string) string { return map[string]string{"SKYCONF_DIR": stateDir}[k] })
	if err != nil && !strings.Contains(err.Error(), "tls") {
		t.Fatal(err)
	}
	if cfg == nil {
		cfg = &config.Config{Dir: stateDir}
	}
	for _, name := range []string{cfg.ServerDir(), cfg.PIDFile(), cfg.LockFile(), cfg.LogFile(), cfg.StateFile()} {
		if _, err := os.Stat(name); err == nil {
			t.Errorf("%s exists: skyd dev was started", name)
		}
	}
}

func TestWorkerStartsNoServers(t *testing.T) { noDev(t, filepath.Join(stack.o.Dir, "skyd")) }

func TestBundleServesAWorkerOnAnotherMachine(t *testing.T) {
	home := t.TempDir()
	var bundle bytes.Buffer
	if err := stack.WriteMemberBundle(t.Context(), "worker", &bundle); err != nil {
		t.Fatal(err)
	}
	if err := extractTar(&bundle, filepath.Join(home, ".skyconf")); err != nil {
		t.Fatal(err)
	}
	withoutService(t, "worker")
	cmd := command{argv: []string{filepath.Join(bins(), "skyd"), "worker"},
		env: []string{"HOME=" + home, "PATH=/usr/bin:/bin"}}
	p, err := cmd.startProcess(filepath.Join(home, "worker.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Stop(stopTimeout); err != nil {
			t.Error(err)
		}
	}()
	if err := p.AwaitHealthy(t.Context(), func() error { return plan(t) }); err != nil {
		t.Error(err)
	}
	noDev(t, filepath.Join(home, ".skyconf"))
}
