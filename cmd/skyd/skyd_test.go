package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
	"github.com/sky-shift/skyctl/pkg/store/secretbox"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/freeport"
)

// patience is longer than anything takes on a busy computer, unless it is stuck.
const patience = 5 * time.Minute

// beSkyd makes this test program run as the real skyd, so that no binary has to be built.
const beSkyd = "SKYD_TEST_IS_SKYD"

func TestMain(m *testing.M) {
	if os.Getenv(beSkyd) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// settings returns the settings of a new state directory with free ports. Child processes get them through the
// environment.
func settings(t *testing.T) *config.Config {
	t.Helper()
	env, err := freeport.DevEnviron(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	env["XDG_STATE_HOME"], env[beSkyd] = t.TempDir(), "1"
	for k, v := range env {
		t.Setenv(k, v)
	}
	c, err := config.Load(nil, os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func start(t *testing.T, c *config.Config) daemon.State {
	t.Helper()
	s, err := daemon.EnsureRunning(t.Context(), c, self(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := daemon.Stop(context.Background(), c); err != nil {
			t.Error(err)
		}
	})
	return s
}

func kill(t *testing.T, c *config.Config, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually.Holds(t, "the killed skyd is gone", func() bool {
		holder, err := daemon.FindLockHolder(c.LockFile())
		return err == nil && holder == 0
	})
}

func TestConcurrentStartsRunOneSkyd(t *testing.T) {
	c := settings(t)
	if _, err := daemon.FindRunning(c); !errors.Is(err, daemon.ErrNotRunning) {
		t.Fatalf("before: %v", err)
	}
	states := make([]daemon.State, 4)
	var wg sync.WaitGroup
	for i := range states {
		wg.Go(func() {
			var err error
			if states[i], err = daemon.EnsureRunning(t.Context(), c, self(t)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for _, s := range states {
		if !reflect.DeepEqual(s, states[0]) {
			t.Errorf("two skyds were started: %+v and %+v", s, states[0])
		}
	}
	if got, err := daemon.FindRunning(c); err != nil || !reflect.DeepEqual(got, states[0]) {
		t.Errorf("status %+v, %v", got, err)
	}
	want := daemon.State{PID: states[0].PID, Version: states[0].Version, Started: states[0].Started,
		Namespace: "skyctl", TemporalAddress: c.Temporal.Address, EtcdEndpoint: c.Etcd.Endpoints[0],
		UIAddress: c.UI.Address, Level: api.WorkerLevel, Settings: states[0].Settings}
	if !reflect.DeepEqual(states[0], want) {
		t.Errorf("got %+v, want %+v", states[0], want)
	}
	for _, name := range []string{c.StateFile(), c.PIDFile(), c.LogFile(), c.LockFile()} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if pgid, err := syscall.Getpgid(states[0].PID); err != nil || pgid != states[0].PID {
		t.Errorf("a signal from this terminal would reach it: group %d, %v", pgid, err)
	}
	if err := daemon.Stop(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{c.StateFile(), c.PIDFile()} {
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s was left behind (%v)", name, err)
		}
	}
	if _, err := daemon.FindRunning(c); !errors.Is(err, daemon.ErrNotRunning) {
		t.Errorf("after: %v", err)
	}
	if err := daemon.Stop(t.Context(), c); err != nil {
		t.Errorf("stopping when none runs: %v", err)
	}
	for _, line := range strings.Split(read(t, c.LogFile()), "\n") {
		warns := strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR")
		if warns && !saysSlow.MatchString(line) {
			t.Errorf("unexpected log line of a healthy skyd: %s", line)
		}
	}
}

// saysSlow matches what servers log on a slow or busy computer, though nothing is wrong with them.
var saysSlow = regexp.MustCompile(`took too long|slow fdatasync|deadline exceeded`)

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestFailedStartReportsTheReason(t *testing.T) {
	c := settings(t)
	l, err := net.Listen("tcp", net.JoinHostPort(config.Loopback, strconv.Itoa(c.Dev.UIPort)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, err = daemon.EnsureRunning(t.Context(), c, self(t))
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("port %d", c.Dev.UIPort)) ||
		!strings.Contains(err.Error(), "--dev-ui-port") {
		t.Errorf("the error should contain skyd's message about the port: %v", err)
	}
	if _, err := daemon.FindRunning(c); !errors.Is(err, daemon.ErrNotRunning) {
		t.Errorf("status after: %v", err)
	}
}

func TestSecondSkydOnTheSameDataNamesTheFirst(t *testing.T) {
	c := settings(t)
	first := start(t, c)
	out, err := exec.CommandContext(eventually.Context(t, patience), self(t), "dev").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(string(out), strconv.Itoa(first.PID)) ||
		!strings.Contains(string(out), c.Dir) {
		t.Errorf("%v: %s", err, out)
	}
	if strings.Count(string(out), "\n") != 1 {
		t.Errorf("more than one line: %s", out)
	}
	if got, err := daemon.FindRunning(c); err != nil || !reflect.DeepEqual(got, first) {
		t.Errorf("the first no longer answers: %+v, %v", got, err)
	}
}

// TestKilledSkydResumesWorkflows kills skyd while a workflow waits for the second of two activities.
func TestKilledSkydResumesWorkflows(t *testing.T) {
	c := settings(t)
	first := start(t, c)
	ctx := eventually.Context(t, patience)
	etcd := dialEtcd(t, c)
	if _, err := etcd.Put(ctx, "/test/key", "value"); err != nil {
		t.Fatal(err)
	}
	work := newWork(t, c)
	run, err := work.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: "cluster/ada", TaskQueue: "test"},
		twoSteps)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-work.inSecond:
	case <-ctx.Done():
		t.Fatal("the second step never started")
	}

	kill(t, c, first.PID)
	if _, err := daemon.FindRunning(c); !errors.Is(err, daemon.ErrNotRunning) {
		t.Errorf("status after a kill: %v", err)
	}
	second := start(t, c)
	if second.PID == first.PID {
		t.Fatal("it was never killed")
	}
	close(work.goOn)
	var got string
	if err := run.Get(ctx, &got); err != nil || got != "one two" {
		t.Errorf("the workflow returned %q, %v", got, err)
	}
	if work.firsts != 1 {
		t.Errorf("the first step ran %d times, want once", work.firsts)
	}
	kv, err := etcd.Get(ctx, "/test/key")
	if err != nil || len(kv.Kvs) != 1 || string(kv.Kvs[0].Value) != "value" {
		t.Errorf("etcd has %v, %v", kv, err)
	}
}

// TestSkydStartsAfterAKillDuringItsFirstStart kills it at increasing delays, and checks that it still starts.
func TestSkydStartsAfterAKillDuringItsFirstStart(t *testing.T) {
	c := settings(t)
	for _, after := range []time.Duration{0, 20, 60, 100, 150, 200, 250, 300, 400, 500} {
		var out strings.Builder
		cmd := exec.Command(self(t), "dev")
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		eventually.Holds(t, "it holds the lock, or has ended", func() bool {
			select {
			case <-ended:
				return true
			default:
			}
			pid, err := daemon.FindLockHolder(c.LockFile())
			return err == nil && pid == cmd.Process.Pid
		})
		time.Sleep(after * time.Millisecond) // the instant, not a condition
		_ = cmd.Process.Kill()
		<-ended
		if strings.Contains(out.String(), "skyd: ") {
			t.Fatalf("the start after a kill failed: %s", out.String())
		}
	}
	start(t, c)
	if _, err := dialEtcd(t, c).Put(eventually.Context(t, patience), "k", "v"); err != nil {
		t.Error(err)
	}
}

func TestWorkerNeedsExternalServers(t *testing.T) {
	settings(t)
	out, err := exec.CommandContext(eventually.Context(t, patience), self(t), "worker").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "SKYCTL_TEMPORAL_ADDRESS") ||
		!strings.Contains(string(out), "--etcd-endpoints") {
		t.Errorf("%v: %s", err, out)
	}
}

// externally returns the flags with which a worker uses the etcd and Temporal of a skyd dev as a team's.
func externally(c *config.Config) []string {
	args := []string{"worker", "--temporal-address", c.Temporal.Address, "--etcd-endpoints", c.Etcd.Endpoints[0]}
	for _, server := range []string{"temporal", "etcd"} {
		args = append(args, "--"+server+"-tls-ca", c.Etcd.TLS.CA, "--"+server+"-tls-cert", c.Etcd.TLS.Cert,
			"--"+server+"-tls-key", c.Etcd.TLS.Key)
	}
	return args
}

func TestWorkerRunsWithExternalServersUntilStopped(t *testing.T) {
	c := settings(t)
	start(t, c)
	logName := filepath.Join(t.TempDir(), "log")
	out, err := os.Create(logName)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	cmd := exec.CommandContext(eventually.Context(t, patience), self(t), externally(c)...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), config.EnvDir+"="+t.TempDir(), "SKYCTL_TEMPORAL_TASK_QUEUE=apart",
		"SKYCTL_SECRETS_KEY_FILE="+c.SecretsKeyFile)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually.Holds(t, "the worker works", func() bool {
		said := read(t, logName)
		if strings.Contains(said, "skyd: ") {
			t.Fatalf("the worker exited: %s", said)
		}
		return strings.Contains(said, "worker started")
	})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, read(t, logName))
	}
}

func TestWorkerNamesTheUnreachableServer(t *testing.T) {
	c := settings(t)
	if _, err := secretbox.LoadOrCreateKey(c.SecretsKeyFile); err != nil { // as from a bundle
		t.Fatal(err)
	}
	port := freeport.Get(t, 1)[0]
	out, err := exec.CommandContext(eventually.Context(t, patience), self(t), "worker",
		"--temporal-address", c.Temporal.Address, "--etcd-endpoints",
		fmt.Sprintf("http://127.0.0.1:%d", port)).CombinedOutput()
	if err == nil || !strings.Contains(string(out), fmt.Sprintf("127.0.0.1:%d", port)) ||
		!strings.Contains(string(out), "etcd") {
		t.Errorf("%v: %s", err, out)
	}
	if strings.Contains(string(out), "goroutine") {
		t.Errorf("a stack trace: %s", out)
	}
}

func TestWorkerCreatesNoSecretsKey(t *testing.T) {
	c := settings(t)
	start(t, c)
	dir := t.TempDir()
	cmd := exec.CommandContext(eventually.Context(t, patience), self(t), externally(c)...)
	cmd.Env = append(os.Environ(), config.EnvDir+"="+dir, "SKYCTL_TEMPORAL_TASK_QUEUE=apart")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "secrets key "+dir) ||
		!strings.Contains(string(out), "skyd team certificates") {
		t.Errorf("%v: %s", err, out)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}

func TestDevRejectsAnExternalEtcd(t *testing.T) {
	c := settings(t)
	out, err := exec.CommandContext(eventually.Context(t, patience), self(t), "dev", "--temporal-address", "t:1",
		"--etcd-endpoints", "http://e:1").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "skyd worker") {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := os.Stat(c.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it wrote into %s (%v)", c.Dir, err)
	}
}

func dialEtcd(t *testing.T, c *config.Config) *clientv3.Client {
	t.Helper()
	tls, err := c.Etcd.TLS.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	e, err := clientv3.New(clientv3.Config{Endpoints: c.Etcd.Endpoints, TLS: tls, DialTimeout: 10 * time.Second,
		Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// TestSecondSkydOfAComputerChoosesPorts runs a skyd without settings while its usual ports are taken.
func TestSecondSkydOfAComputerChoosesPorts(t *testing.T) {
	settings(t)
	for _, name := range []string{"SKYCTL_DEV_TEMPORAL_PORT", "SKYCTL_DEV_UI_PORT", "SKYCTL_DEV_ETCD_PORT"} {
		t.Setenv(name, "")
	}
	c, err := config.Load(nil, os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	for _, port := range []int{c.Dev.TemporalPort, c.Dev.UIPort, c.Dev.EtcdPort} {
		l, err := net.Listen("tcp", net.JoinHostPort(config.Loopback, strconv.Itoa(port)))
		if err == nil { // else somebody else has it
			t.Cleanup(func() { _ = l.Close() })
		}
	}
	first := start(t, c)
	if first.TemporalAddress == c.Temporal.Address || first.EtcdEndpoint == c.Etcd.Endpoints[0] ||
		first.UIAddress == c.UI.Address || !strings.Contains(first.PortNote, strconv.Itoa(c.Dev.EtcdPort)) {
		t.Errorf("it uses the taken ports, or does not say so: %+v", first)
	}
	if strings.Count(read(t, c.LogFile()), first.PortNote) != 1 {
		t.Errorf("the log does not say once: %s", first.PortNote)
	}
	if err := daemon.Stop(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	again := start(t, c)
	if again.TemporalAddress != first.TemporalAddress || again.EtcdEndpoint != first.EtcdEndpoint ||
		again.UIAddress != first.UIAddress || again.PortNote != "" {
		t.Errorf("the next start uses others, or says it again: %+v, then %+v", first, again)
	}
}

func TestSkyPilotIsInstalledForKnownCloudsOnly(t *testing.T) {
	c := settings(t)
	for _, c := range []struct{ python, cloud, says string }{
		{"", "vast", "choose from aws, azure, do, gcp"},
		{"/opt/python", "aws", "the setting skypilot.python names /opt/python"},
	} {
		t.Setenv("SKYCTL_SKYPILOT_PYTHON", c.python)
		out, err := exec.CommandContext(eventually.Context(t, patience), self(t), "install-skypilot",
			c.cloud).CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.says) {
			t.Errorf("%s: %v: %s", c.cloud, err, out)
		}
	}
	if _, err := os.Stat(c.SkyPilotDir()); err == nil {
		t.Errorf("it wrote %s", c.SkyPilotDir())
	}
}

func TestDevRefusesTheStateOfANewerVersion(t *testing.T) {
	c := settings(t)
	if err := os.MkdirAll(c.ServerDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	newer := daemon.Writer{Version: "v99.0.0", Level: api.WorkerLevel + 1}
	if err := daemon.RecordWriter(c, newer); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(eventually.Context(t, patience), self(t), "dev").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "install skyd v99.0.0 or newer") {
		t.Errorf("%v: %s", err, out)
	}
	if files, err := os.ReadDir(c.ServerDir()); err != nil || len(files) != 1 {
		t.Errorf("it wrote %v, %v", files, err)
	}
}
