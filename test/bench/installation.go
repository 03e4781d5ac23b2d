package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/freeport"
)

// commandLimit is longer than any command of a run should take, besides -lost_for.
const commandLimit = 5 * time.Minute

// installation is a state directory with free ports, and its skyd.
type installation struct {
	b   *bench
	env []string
}

func (b *bench) newInstallation(name string, env ...string) (*installation, error) {
	dir := filepath.Join(b.dir, name, "skyconf")
	dev, err := freeport.DevEnviron(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return nil, err
	}
	p := &installation{b: b, env: append([]string{
		"HOME=" + os.Getenv("HOME"), "PATH=" + os.Getenv("PATH"), "DOCKER_HOST=" + os.Getenv("DOCKER_HOST"),
		"XDG_STATE_HOME=" + dir + ".state",
	}, env...)}
	for name, value := range dev {
		p.env = append(p.env, name+"="+value)
	}
	b.addCleanup(func() error { return p.stopServer(context.Background()) })
	return p, nil
}

func (p *installation) envValue(name string) string {
	for _, e := range p.env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

func (p *installation) loadConfig() (*config.Config, error) { return config.Load(nil, p.envValue) }

// runSkyctl runs the command line and returns its standard output. Its error contains the standard error.
func (p *installation) runSkyctl(ctx context.Context, args ...string) (string, error) {
	return p.b.runProgram(ctx, p.env, filepath.Join(p.b.bin, "skyctl"), args...)
}

func (p *installation) startServer(ctx context.Context) (daemon.State, error) {
	if _, err := p.runSkyctl(ctx, "server", "start"); err != nil {
		return daemon.State{}, err
	}
	cfg, err := p.loadConfig()
	if err != nil {
		return daemon.State{}, err
	}
	return daemon.FindRunning(cfg)
}

func (p *installation) stopServer(ctx context.Context) error {
	_, err := p.runSkyctl(ctx, "server", "stop")
	return err
}

// openStore opens the etcd of the installation's skyd.
func (p *installation) openStore(ctx context.Context) (*store.Store, error) {
	cfg, err := p.loadConfig()
	if err != nil {
		return nil, err
	}
	state, err := daemon.FindRunning(cfg)
	if err != nil {
		return nil, err
	}
	state.ApplyTo(cfg)
	tls, err := cfg.Etcd.TLS.ClientConfig()
	if err != nil {
		return nil, err
	}
	return store.Open(ctx, store.Options{Endpoints: cfg.Etcd.Endpoints, Prefix: cfg.Etcd.Prefix, TLS: tls})
}

// runProgram runs a program to its end. If ctx ends first, the program and its children get SIGTERM.
func (b *bench) runProgram(ctx context.Context, env []string, name string, args ...string) (string, error) {
	limited, cancel := context.WithTimeout(ctx, commandLimit+b.lostFor)
	defer cancel()
	cmd := exec.CommandContext(limited, name, args...)
	cmd.Env = env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if b.trace && said.Len() > 0 {
		os.Stderr.Write(said.Bytes())
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, said.String())
	}
	return out.String(), err
}
