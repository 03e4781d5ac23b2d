// Package external runs the services of docker-compose.yml as processes of this machine, for tests: PostgreSQL,
// Temporal's schema tool, Temporal, its Web UI, etcd and skyd. Commands, environments and health checks come from the
// file; only paths, names and ports differ.
package external

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/sky-shift/skyctl/test/process"
)

// startTimeout is how long all services may take to become healthy on a busy computer.
const startTimeout = 10 * time.Minute

// Options configure a stack.
type Options struct {
	// Bins is the directory with skyd; its subdirectory external has the programs that `make external` builds.
	Bins string
	// Dir is empty at first. It holds everything but PostgreSQL's data, which belongs to another user if this one is
	// root.
	Dir string
	// WorkerEnv is added to the worker's environment, as NAME=value.
	WorkerEnv []string
}

// startOrder lists each service after those that it needs.
var startOrder = []string{"certificates", "postgres", "schema", "etcd", "temporal", "namespace", "ui", "worker"}

// Stack is the running services.
type Stack struct {
	o        Options
	project  *types.Project
	place    hostLayout
	postgres postgres
	running  map[string]*process.Process
}

// StartStack starts all services and returns when they are healthy. If that fails, it leaves nothing running.
func StartStack(ctx context.Context, o Options) (*Stack, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("the stack is not up after %v", startTimeout))
	defer cancel()
	c := &Stack{o: o, running: map[string]*process.Process{}}
	if err := c.prepareServices(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	for _, name := range startOrder {
		if err := c.StartService(ctx, name); err != nil {
			return nil, errors.Join(err, c.Stop())
		}
	}
	return c, nil
}

func (c *Stack) prepareServices(ctx context.Context) (err error) {
	if c.project, err = LoadCompose(ctx, nil); err != nil {
		return err
	}
	if c.place, err = newHostLayout(c.o); err != nil {
		return err
	}
	c.postgres, err = newPostgres(ctx, c.place.ports.postgres)
	return err
}

// StartService starts a service and waits until it is healthy; a one-shot runs to its end.
func (c *Stack) StartService(ctx context.Context, name string) error {
	if c.running[name] != nil {
		return fmt.Errorf("%s is already running", name)
	}
	if err := c.runOrStartService(ctx, name); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	return nil
}

func (c *Stack) runOrStartService(ctx context.Context, name string) error {
	s := c.project.Services[name]
	cmd, err := c.newServiceCommand(name)
	if err != nil {
		return err
	}
	if s.HealthCheck == nil {
		out, err := cmd.runToEnd(ctx)
		if err == nil && name == "certificates" {
			err = c.distributeCertificates(ctx)
		}
		if err != nil {
			return fmt.Errorf("%w\n%s", err, process.LastLines(out))
		}
		return nil
	}
	p, err := cmd.startProcess(filepath.Join(c.o.Dir, name+".log"))
	if err != nil {
		return err
	}
	c.running[name] = p
	return p.AwaitHealthy(ctx, func() error { return c.CheckHealth(ctx, name) })
}

// distributeCertificates does what the named volumes of docker-compose.yml do: it gives Postgres its certificates.
func (c *Stack) distributeCertificates(ctx context.Context) error {
	if err := c.postgres.installCertificates(filepath.Join(c.place.certificatesDir(), "postgres")); err != nil {
		return err
	}
	var bundle bytes.Buffer
	if err := c.WriteMemberBundle(ctx, "tester", &bundle); err != nil {
		return err
	}
	return extractTar(&bundle, c.MemberDir())
}

// CheckHealth runs the health check of a service.
func (c *Stack) CheckHealth(ctx context.Context, name string) error {
	test := c.project.Services[name].HealthCheck.Test
	if len(test) < 2 || test[0] != "CMD" {
		return fmt.Errorf("the health check of %s is %q, which is not supported here", name, test)
	}
	cmd, err := c.translateCommand(name, test[1:])
	if err != nil {
		return err
	}
	if do := nativeHealthCheck(cmd.argv); do != nil {
		return do(ctx)
	}
	if out, err := cmd.runToEnd(ctx); err != nil {
		return fmt.Errorf("%w: %s", err, process.LastLines(out))
	}
	return nil
}

// WriteMemberBundle writes a member's bundle, as skyd team member does.
func (c *Stack) WriteMemberBundle(ctx context.Context, name string, w io.Writer) error {
	return c.writeBundle(ctx, name, w, "--host", loopback, "--ui", c.WebUIAddress(), "--gateway", c.GatewayAddress())
}

// writeBundle runs skyd team member with the ports of the services.
func (c *Stack) writeBundle(ctx context.Context, name string, w io.Writer, flags ...string) error {
	cmd, err := c.translateCommand("certificates", append([]string{"skyd", "team", "member", name,
		"--dir", "/etc/skyctl", "--temporal-port", fmt.Sprint(c.place.ports.temporal),
		"--etcd-port", fmt.Sprint(c.place.ports.etcd)}, flags...))
	if err != nil {
		return err
	}
	out, err := cmd.runForOutput(ctx)
	if err != nil {
		return fmt.Errorf("create the bundle of %s: %w", name, err)
	}
	_, err = w.Write(out)
	return err
}

// MemberDir is the state directory of a member, with the unpacked bundle.
func (c *Stack) MemberDir() string { return filepath.Join(c.o.Dir, "member") }

// MemberFile is a file of the bundle: ca.crt, tls.crt, tls.key or secrets.key.
func (c *Stack) MemberFile(name string) string { return filepath.Join(c.MemberDir(), "team", name) }

// SkyctlEnv points skyctl at the services by environment variables only: its state directory has no settings.
func (c *Stack) SkyctlEnv() []string {
	env := []string{
		"SKYCONF_DIR=" + c.StateDir(),
		"SKYCTL_ETCD_ENDPOINTS=" + c.EtcdEndpoint(),
		"SKYCTL_TEMPORAL_ADDRESS=" + c.TemporalAddress(),
		"SKYCTL_SECRETS_KEY_FILE=" + c.MemberFile("secrets.key"),
		"SKYCTL_UI_ADDRESS=" + c.WebUIAddress(),
	}
	for _, server := range []string{"ETCD", "TEMPORAL"} {
		env = append(env,
			"SKYCTL_"+server+"_TLS_CA="+c.MemberFile("ca.crt"),
			"SKYCTL_"+server+"_TLS_CERT="+c.MemberFile("tls.crt"),
			"SKYCTL_"+server+"_TLS_KEY="+c.MemberFile("tls.key"))
	}
	return env
}

// StateDir is the SKYCONF_DIR of SkyctlEnv.
func (c *Stack) StateDir() string { return filepath.Join(c.o.Dir, "state") }

// EtcdEndpoint is etcd's URL.
func (c *Stack) EtcdEndpoint() string { return "https://" + loopbackAddress(c.place.ports.etcd) }

// TemporalAddress is host:port of Temporal's frontend.
func (c *Stack) TemporalAddress() string { return loopbackAddress(c.place.ports.temporal) }

// GatewayAddress is host:port of the worker's gateway to machines.
func (c *Stack) GatewayAddress() string { return loopbackAddress(c.place.ports.gateway) }

// WebUIAddress is the URL of the Web UI.
func (c *Stack) WebUIAddress() string { return "http://" + loopbackAddress(c.place.ports.ui) }

// ReadLog returns a service's log so far.
func (c *Stack) ReadLog(name string) string {
	data, err := os.ReadFile(filepath.Join(c.o.Dir, name+".log"))
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// StopService stops a service and waits until it has exited.
func (c *Stack) StopService(name string) error { return c.endService(name, stopProcess) }

func stopProcess(p *process.Process) error { return p.Stop(stopTimeout) }

// KillService kills a service, like a power cut.
func (c *Stack) KillService(name string) error { return c.endService(name, (*process.Process).Kill) }

func (c *Stack) endService(name string, how func(*process.Process) error) error {
	p := c.running[name]
	if p == nil {
		return fmt.Errorf("%s is not running", name)
	}
	delete(c.running, name)
	if err := how(p); err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	return nil
}

// Stop stops the services, each before those that it needs, and removes PostgreSQL's data.
func (c *Stack) Stop() error {
	var errs []error
	for _, name := range slices.Backward(startOrder) {
		if c.running[name] != nil {
			errs = append(errs, c.StopService(name))
		}
	}
	return errors.Join(append(errs, c.postgres.removeData())...)
}

func extractTar(r io.Reader, dir string) error {
	archive := tar.NewReader(r)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !filepath.IsLocal(h.Name) {
			return fmt.Errorf("the bundle has an unexpected file %s", h.Name)
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			return err
		}
		name := filepath.Join(dir, h.Name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(name, data, h.FileInfo().Mode()); err != nil {
			return err
		}
	}
}
