package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/daemon"
	"github.com/sky-shift/skyctl/pkg/store"
)

// commandLimit is longer than any command of a run should take.
const commandLimit = 5 * time.Minute

// place is a state directory of its own with free ports, and the skyd that works on it.
type place struct {
	b   *bench
	env []string
}

func (b *bench) newPlace(name string, env ...string) (*place, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(b.dir, name, "skyconf")
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return nil, err
	}
	p := &place{b: b, env: append([]string{
		"HOME=" + os.Getenv("HOME"), "PATH=" + os.Getenv("PATH"), "DOCKER_HOST=" + os.Getenv("DOCKER_HOST"), "SKYCONF_DIR=" + dir, "XDG_STATE_HOME=" + dir + ".state",
		"SKYCTL_DEV_TEMPORAL_PORT=" + ports[0], "SKYCTL_DEV_UI_PORT=" + ports[1], "SKYCTL_DEV_ETCD_PORT=" + ports[2],
	}, env...)}
	b.later(func() error { return p.stop(context.Background()) })
	return p, nil
}

func (p *place) getenv(name string) string {
	for _, e := range p.env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

func (p *place) config() (*config.Config, error) { return config.Load(nil, p.getenv) }

// skyctl runs the command line and returns its standard output. Its error carries what it said besides.
func (p *place) skyctl(ctx context.Context, args ...string) (string, error) {
	return p.b.output(ctx, p.env, filepath.Join(p.b.bin, "skyctl"), args...)
}

func (p *place) start(ctx context.Context) (daemon.State, error) {
	if _, err := p.skyctl(ctx, "server", "start"); err != nil {
		return daemon.State{}, err
	}
	cfg, err := p.config()
	if err != nil {
		return daemon.State{}, err
	}
	return daemon.Status(cfg)
}

func (p *place) stop(ctx context.Context) error {
	_, err := p.skyctl(ctx, "server", "stop")
	return err
}

// store opens the etcd of the skyd that runs here.
func (p *place) store(ctx context.Context) (*store.Store, error) {
	cfg, err := p.config()
	if err != nil {
		return nil, err
	}
	state, err := daemon.Status(cfg)
	if err != nil {
		return nil, err
	}
	state.Use(cfg)
	tls, err := cfg.Etcd.TLS.Client()
	if err != nil {
		return nil, err
	}
	return store.Open(ctx, store.Options{Endpoints: cfg.Etcd.Endpoints, Prefix: cfg.Etcd.Prefix, TLS: tls})
}

// output runs a program to its end. Where ctx ends first it is asked to stop, as by Ctrl-C, and so is what it started.
func (b *bench) output(ctx context.Context, env []string, name string, args ...string) (string, error) {
	limited, cancel := context.WithTimeout(ctx, commandLimit)
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

// freePorts finds ports that nobody listens on now.
func freePorts(n int) (ports []string, err error) {
	for range n {
		l, lerr := net.Listen("tcp", config.Loopback+":0")
		if lerr != nil {
			return nil, lerr
		}
		defer func() { err = errors.Join(err, l.Close()) }()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	return ports, nil
}
