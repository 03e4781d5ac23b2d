// Package external runs the services of docker-compose.yml as separate processes of this machine, for tests: PostgreSQL,
// Temporal's schema tool, Temporal, its Web UI, etcd and skyd. Commands, environments and health checks are those of the
// file; only paths, names and ports are others.
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
)

// startWithin is how long the whole chain may take to be well.
const startWithin = 3 * time.Minute

// Options say what runs where.
type Options struct {
	// Bins holds skyd, and in its directory external what `make external` builds.
	Bins string
	// Dir is empty, and holds everything but PostgreSQL's data, which belongs to another user where this one is root.
	Dir string
	// WorkerEnv adds to the worker's environment, as NAME=value.
	WorkerEnv []string
}

// order is that in which services need each other.
var order = []string{"certificates", "postgres", "schema", "etcd", "temporal", "namespace", "ui", "worker"}

// Chain is the running services.
type Chain struct {
	o        Options
	project  *types.Project
	place    place
	postgres postgres
	running  map[string]*process
}

// Start runs the whole chain and returns when every service is well. Where that fails, nothing is left running.
func Start(ctx context.Context, o Options) (*Chain, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startWithin, fmt.Errorf("the chain isn't up after %v", startWithin))
	defer cancel()
	c := &Chain{o: o, running: map[string]*process{}}
	if err := c.prepare(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	for _, name := range order {
		if err := c.StartService(ctx, name); err != nil {
			return nil, errors.Join(err, c.Stop())
		}
	}
	return c, nil
}

func (c *Chain) prepare(ctx context.Context) (err error) {
	if c.project, err = Compose(ctx, nil); err != nil {
		return err
	}
	if c.place, err = newPlace(c.o); err != nil {
		return err
	}
	c.postgres, err = newPostgres(ctx, c.place.ports.postgres)
	return err
}

// StartService starts one service, or runs it to its end where it is a one-shot, and waits until it is well.
func (c *Chain) StartService(ctx context.Context, name string) error {
	if c.running[name] != nil {
		return fmt.Errorf("%s runs already", name)
	}
	if err := c.startService(ctx, name); err != nil {
		return fmt.Errorf("starting %s: %w", name, err)
	}
	return nil
}

func (c *Chain) startService(ctx context.Context, name string) error {
	s := c.project.Services[name]
	cmd, err := c.command(name)
	if err != nil {
		return err
	}
	if s.HealthCheck == nil {
		out, err := cmd.run(ctx)
		if err == nil && name == "certificates" {
			err = c.afterCertificates(ctx)
		}
		if err != nil {
			return fmt.Errorf("%w\n%s", err, lastLines(out))
		}
		return nil
	}
	p, err := cmd.start(filepath.Join(c.o.Dir, name+".log"))
	if err != nil {
		return err
	}
	c.running[name] = p
	return p.await(ctx, func() error { return c.Check(ctx, name) })
}

// afterCertificates does what the named volumes of docker-compose.yml do: it brings Postgres its own.
func (c *Chain) afterCertificates(ctx context.Context) error {
	if err := c.postgres.takeCertificates(filepath.Join(c.place.certificates(), "postgres")); err != nil {
		return err
	}
	var bundle bytes.Buffer
	if err := c.Bundle(ctx, "tester", &bundle); err != nil {
		return err
	}
	return unpack(&bundle, c.MemberDir())
}

// Check runs the health check of a service.
func (c *Chain) Check(ctx context.Context, name string) error {
	test := c.project.Services[name].HealthCheck.Test
	if len(test) < 2 || test[0] != "CMD" {
		return fmt.Errorf("the health check of %s is %q, which isn't understood here", name, test)
	}
	cmd, err := c.commandOf(name, test[1:])
	if err != nil {
		return err
	}
	if do := replacedCheck(cmd.argv); do != nil {
		return do(ctx)
	}
	if out, err := cmd.run(ctx); err != nil {
		return fmt.Errorf("%w: %s", err, lastLines(out))
	}
	return nil
}

// Bundle writes the bundle of a member, as skyd team member does.
func (c *Chain) Bundle(ctx context.Context, name string, w io.Writer) error {
	cmd, err := c.commandOf("certificates", []string{
		"skyd", "team", "member", name, "--dir", "/etc/skyctl", "--host", loopback,
		"--temporal-port", fmt.Sprint(c.place.ports.temporal), "--etcd-port", fmt.Sprint(c.place.ports.etcd), "--ui", c.UI(),
	})
	if err != nil {
		return err
	}
	out, err := cmd.output(ctx)
	if err != nil {
		return fmt.Errorf("making the bundle of %s: %w", name, err)
	}
	_, err = w.Write(out)
	return err
}

// MemberDir is the state directory of somebody who unpacked a bundle there.
func (c *Chain) MemberDir() string { return filepath.Join(c.o.Dir, "member") }

// MemberFile is one of the files that came with the bundle: ca.crt, tls.crt, tls.key or secrets.key.
func (c *Chain) MemberFile(name string) string { return filepath.Join(c.MemberDir(), "team", name) }

// Env points skyctl at the chain, by environment alone: its state directory holds no settings.
func (c *Chain) Env() []string {
	env := []string{
		"SKYCONF_DIR=" + c.StateDir(),
		"SKYCTL_ETCD_ENDPOINTS=" + c.EtcdEndpoint(),
		"SKYCTL_TEMPORAL_ADDRESS=" + c.TemporalAddress(),
		"SKYCTL_SECRETS_KEY_FILE=" + c.MemberFile("secrets.key"),
		"SKYCTL_UI_ADDRESS=" + c.UI(),
	}
	for _, server := range []string{"ETCD", "TEMPORAL"} {
		env = append(env,
			"SKYCTL_"+server+"_TLS_CA="+c.MemberFile("ca.crt"),
			"SKYCTL_"+server+"_TLS_CERT="+c.MemberFile("tls.crt"),
			"SKYCTL_"+server+"_TLS_KEY="+c.MemberFile("tls.key"))
	}
	return env
}

// StateDir is the SKYCONF_DIR of Env.
func (c *Chain) StateDir() string { return filepath.Join(c.o.Dir, "state") }

// EtcdEndpoint is etcd's URL.
func (c *Chain) EtcdEndpoint() string { return "https://" + address(c.place.ports.etcd) }

// TemporalAddress is host:port of Temporal's frontend.
func (c *Chain) TemporalAddress() string { return address(c.place.ports.temporal) }

// UI is the URL of the Web UI.
func (c *Chain) UI() string { return "http://" + address(c.place.ports.ui) }

// Log is what a service has written so far.
func (c *Chain) Log(name string) string {
	data, err := os.ReadFile(filepath.Join(c.o.Dir, name+".log"))
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// StopService asks a service to stop and waits until it has.
func (c *Chain) StopService(name string) error { return c.end(name, (*process).stop) }

// KillService ends a service as a power cut would.
func (c *Chain) KillService(name string) error { return c.end(name, (*process).kill) }

func (c *Chain) end(name string, how func(*process) error) error {
	p := c.running[name]
	if p == nil {
		return fmt.Errorf("%s doesn't run", name)
	}
	delete(c.running, name)
	if err := how(p); err != nil {
		return fmt.Errorf("stopping %s: %w", name, err)
	}
	return nil
}

// Stop ends what still runs, in the order in which the services need each other, and removes PostgreSQL's data.
func (c *Chain) Stop() error {
	var errs []error
	for _, name := range slices.Backward(order) {
		if c.running[name] != nil {
			errs = append(errs, c.StopService(name))
		}
	}
	return errors.Join(append(errs, c.postgres.remove())...)
}

func unpack(r io.Reader, dir string) error {
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
			return fmt.Errorf("the bundle has a file %s", h.Name)
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
