// Package skypilot runs a real SkyPilot API server for tests, without any cloud account: SkyPilot's own AWS code with
// an AWS API server (moto) whose EC2 instances are Docker hosts, and a second cloud, named Paperspace, whose machines
// are also Docker hosts. Prices, regions and machine types come from catalogs of this package. Once the virtual
// environment exists, the package needs no network.
package skypilot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud/docker"
	"github.com/sky-shift/skyctl/test/freeport"
	"github.com/sky-shift/skyctl/test/process"
)

const (
	// Version is the version of SkyPilot that requirements.txt pins.
	Version = "0.14.1"
	// Profile is an instance profile of the account without rights.
	Profile = "no-rights"
	// AWSUser and PaperspaceUser are the login users of the two clouds' machines.
	AWSUser        = "ubuntu"
	PaperspaceUser = "paperspace"

	loopback       = "127.0.0.1"
	startTimeout   = 6 * time.Minute
	portRetryDelay = 5 * time.Second
)

// Options configure an environment.
type Options struct {
	// Dir is empty at first. It holds everything but containers: homes, databases, keys, logs.
	Dir string
	// WithoutServer leaves the SkyPilot API server to the caller; see EnvVars, InstallCatalogs and SecondCloud.
	WithoutServer bool
}

// Env is a running environment.
type Env struct {
	// Endpoint is the SkyPilot API server's URL.
	Endpoint string
	// AWS reads and changes the account at the AWS API server.
	AWS *AWS

	o      Options
	id     string
	venv   string
	ports  struct{ server, aws string }
	engine *engine
	guard  *guard
	aws    *process.Process
	server *process.Process
}

// StartEnv starts the environment and returns when both servers answer. If that fails, it leaves nothing running.
func StartEnv(ctx context.Context, o Options) (_ *Env, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout,
		fmt.Errorf("the SkyPilot environment is not up after %v", startTimeout))
	defer cancel()
	e := &Env{o: o, id: newRandomID()}
	if e.venv, err = EnsureVenv(ctx); err != nil { // takes minutes the first time, within its own deadline
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Stop())
		}
	}()
	if err := e.prepareEnv(ctx); err != nil {
		return nil, fmt.Errorf("prepare the SkyPilot environment: %w", err)
	}
	if err := e.startAWSServer(ctx); err != nil {
		return nil, err
	}
	if o.WithoutServer {
		return e, nil
	}
	return e, e.startServerWithRetry(ctx)
}

func (e *Env) prepareEnv(ctx context.Context) error {
	var err error
	if e.o.Dir, err = filepath.Abs(e.o.Dir); err != nil {
		return err
	}
	port, err := FindServerPort()
	if err != nil {
		return err
	}
	free, err := freeport.Find(1)
	if err != nil {
		return err
	}
	e.ports.server, e.ports.aws = strconv.Itoa(port), strconv.Itoa(free[0])
	e.Endpoint = "http://" + net.JoinHostPort(loopback, e.ports.server)
	e.AWS = &AWS{Endpoint: "http://" + net.JoinHostPort(loopback, e.ports.aws)}
	hosts, err := docker.New(docker.Options{})
	if err != nil {
		return err
	}
	defer hosts.Close()
	if err := hosts.EnsureImage(ctx, func(string) {}); err != nil {
		return err
	}
	if e.engine, err = newEngine(ctx, hosts.ImageName()); err != nil {
		return err
	}
	if err := e.writeFiles(); err != nil {
		return err
	}
	// From here on the guard has something to remove.
	if e.guard, err = startGuard(e); err != nil {
		return err
	}
	return e.engine.createNetwork(ctx, e.networkName(), e.id)
}

func (e *Env) networkName() string { return "skytest-" + e.id }

func (e *Env) startAWSServer(ctx context.Context) error {
	var err error
	if e.aws, err = e.startPythonProcess("aws", nil, "-m", "skytest.aws", e.ports.aws); err != nil {
		return err
	}
	return e.aws.AwaitHealthy(ctx, func() error { return getJSON(ctx, e.AWS.Endpoint+"/moto-api/data.json", nil) })
}

// startServerWithRetry starts the server with more variables, as NAME=value. It retries if a port is in use, because a
// connection may hold the port for a moment.
func (e *Env) startServerWithRetry(ctx context.Context, more ...string) error {
	for n := 1; ; n++ {
		err := e.tryStartServer(ctx, more)
		if err == nil || n == 3 || !strings.Contains(err.Error(), "already in use") {
			return err
		}
		time.Sleep(portRetryDelay) // a closed connection holds its port for a while
	}
}

func (e *Env) tryStartServer(ctx context.Context, more []string) error {
	var err error
	if e.server, err = e.startPythonProcess("server", more, "-m", "sky.server.server", "--host="+loopback,
		"--port="+e.ports.server); err != nil {
		return err
	}
	var health struct{ Status, Version string }
	err = e.server.AwaitHealthy(ctx, func() error { return getJSON(ctx, e.Endpoint+"/api/health", &health) })
	if err == nil && health.Version != Version {
		err = fmt.Errorf("the SkyPilot API server has version %s, want %s", health.Version, Version)
	}
	return err
}

// RestartAPIServer kills the SkyPilot API server in the middle of its work, and starts it again with the same state.
func (e *Env) RestartAPIServer(ctx context.Context) error {
	if err := e.KillAPIServer(); err != nil {
		return err
	}
	return e.StartAPIServer(ctx)
}

// KillAPIServer kills the SkyPilot API server, like a power cut.
func (e *Env) KillAPIServer() error {
	if e.server == nil {
		return errors.New("the SkyPilot API server doesn't run")
	}
	server := e.server
	e.server = nil
	return server.Kill()
}

// StartAPIServer starts the SkyPilot API server again after a kill, and returns when it answers.
func (e *Env) StartAPIServer(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout,
		fmt.Errorf("the SkyPilot API server is not up after %v", startTimeout))
	defer cancel()
	return e.startServerWithRetry(ctx)
}

// Stop kills every process that was started with EnvVars, and removes the machines and their network.
func (e *Env) Stop() error {
	var errs []error
	if e.guard != nil {
		errs = append(errs, e.guard.cleanUp())
	}
	if e.engine != nil {
		errs = append(errs, e.engine.close())
	}
	return errors.Join(errs...)
}

// ReadLog returns the log so far of a part: aws or server.
func (e *Env) ReadLog(part string) string {
	data, err := os.ReadFile(e.logFile(part))
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func (e *Env) logFile(part string) string { return filepath.Join(e.o.Dir, part+".log") }

// getJSON reads JSON from a server.
func getJSON(ctx context.Context, url string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, resp.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
