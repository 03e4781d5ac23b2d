package cli

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
	"github.com/sky-shift/skyctl/pkg/server/service"
	build "github.com/sky-shift/skyctl/pkg/version"
	"github.com/sky-shift/skyctl/test/lockedbuffer"
	"github.com/sky-shift/skyctl/test/skydstub"
)

// world is shared by the tests that need servers; each test has its own clusters.
var world *skydstub.World

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "dev" {
		os.Exit(runAsSkyd()) // this program is the skyd that a command under test starts
	}
	if len(os.Args) == 2 && os.Args[1] == "version" {
		fmt.Println("skyd", cmp.Or(os.Getenv(installedVersion), build.ReadBuild().Version), "(0123)")
		os.Exit(0)
	}
	if os.Getenv(asSkyctl) != "" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		code := Run(ctx, SystemEnvironment(), os.Args[1:])
		stop()
		os.Exit(code)
	}
	if len(os.Args) > 1 && os.Args[1] == "belongings" {
		os.Exit(listStandInBelongings(os.Args[2:]))
	}
	syscall.Umask(0o022) // else state directories of the tests may be open to a group, and are refused
	os.Exit(skydstub.RunTests(m, &world))
}

// runAsSkyd does what skyctl sees of skyd dev: it runs servers, publishes its state, and exits on SIGTERM.
func runAsSkyd() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	w, err := skydstub.Start(ctx, os.Getenv(config.EnvDir))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer w.Close()
	state := daemon.State{PID: os.Getpid(), Version: build.ReadBuild().Version, Started: time.Now(),
		TemporalAddress: w.Config.Temporal.Address, Namespace: w.Config.Temporal.Namespace,
		EtcdEndpoint: w.Config.Etcd.Endpoints[0], UIAddress: w.Config.UI.Address, Level: api.WorkerLevel}
	if v := os.Getenv("TEST_SKYD_VERSION"); v != "" { // an older skyd
		state.Version, state.Level = v, 0
	} else if own, err := config.Load(nil, os.Getenv); err == nil {
		state.Settings = own.UsedSettings()
		for _, key := range []string{"dev.temporalPort", "dev.uiPort", "dev.etcdPort"} { // the ports it chose
			delete(state.Settings, key)
		}
	}
	if os.Getenv(withWorker) != "" {
		stop, err := w.RunWorker(ctx)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer stop()
	}
	if err := daemon.PublishState(w.Config, state); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	<-ctx.Done()
	daemon.WithdrawState(w.Config)
	return 0
}

// testUser runs commands as a user with external servers.
type testUser struct {
	t   *testing.T
	env map[string]string
	in  string
	// computer has the service manager, and skyd is the program that commands start instead of this one.
	computer *service.Computer
	skyd     string
	// impatient: commands wait for servers no longer than those of a person.
	impatient bool
}

const (
	// patience is how much longer commands wait for the answers of servers, which share a busy computer.
	patience = time.Minute
	// runTimeout is longer than a command takes on a busy computer, unless it is stuck.
	runTimeout = 5 * time.Minute
)

// newExternalUser returns a user of the shared world as external servers, with its own state directory.
func newExternalUser(t *testing.T) *testUser {
	p := &testUser{t: t, env: map[string]string{config.EnvDir: t.TempDir()}}
	for k, v := range world.External {
		p.env[k] = v
	}
	return p
}

// runResult is the result of a command.
type runResult struct {
	out, err string
	code     int
}

func (p *testUser) run(args ...string) runResult {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.t.Context()), runTimeout)
	defer cancel()
	return p.runCtx(ctx, args...)
}

func (p *testUser) runCtx(ctx context.Context, args ...string) runResult {
	var out, errs lockedbuffer.Buffer
	code := Run(ctx, p.environment(bytes.NewBufferString(p.in), &out, &errs), args)
	return runResult{out: out.String(), err: errs.String(), code: code}
}

func (p *testUser) environment(in *bytes.Buffer, out, errs *lockedbuffer.Buffer) Environment {
	environ := func() (all []string) {
		for k, v := range p.env {
			all = append(all, k+"="+v)
		}
		return all
	}
	more := patience
	if p.impatient {
		more = 0
	}
	return Environment{In: in, Out: out, Err: errs, Now: time.Now, Getenv: func(k string) string {
		return p.env[k]
	}, Environ: environ, Patience: more,
		Computer: p.computer, Skyd: func() (string, error) {
			if p.skyd != "" {
				return p.skyd, nil
			}
			return os.Executable()
		}}
}
