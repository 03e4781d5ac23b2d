package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/test/process"
	"github.com/sky-shift/skyctl/test/scriptedcloud"
	"github.com/sky-shift/skyctl/test/world"
)

// scaleBench is a stand-in for skyd in a process of its own, with a cloud of scripted machines in this one.
type scaleBench struct {
	*bench
	cloud   *scriptedcloud.Cloud
	server  *http.Server
	skyd    *exec.Cmd
	stdin   io.Closer
	logFile string
	env     map[string]string
}

// startScaleBench starts the cloud and the stand-in, with new data.
func (b *bench) startScaleBench(ctx context.Context, name string) (*scaleBench, error) {
	b.logProgress("  %s", name)
	dir := filepath.Join(b.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	s := &scaleBench{bench: b, cloud: scriptedcloud.New(delays), logFile: filepath.Join(dir, "worker.log")}
	setup := workerSetup{Dir: dir, Socket: filepath.Join(dir, "socket")}
	if b.profile != "" {
		setup.Profile = filepath.Join(b.profile, name+".pprof")
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", setup.Socket)
	if err != nil {
		return nil, err
	}
	s.server = &http.Server{Handler: world.ServeCloud(s.cloud, func(string, string) {}), ReadHeaderTimeout: time.Minute}
	go func() { _ = s.server.Serve(l) }()
	if err := s.startWorker(ctx, setup); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// startWorker starts this program as the stand-in for skyd, and waits for its settings. It ends with this process,
// because its standard input ends then.
func (s *scaleBench) startWorker(ctx context.Context, setup workerSetup) error {
	text, err := json.Marshal(setup)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.Create(s.logFile)
	if err != nil {
		return err
	}
	defer log.Close()
	s.skyd = exec.CommandContext(ctx, self)
	s.skyd.Env, s.skyd.Stderr = append(os.Environ(), envWorker+"="+string(text)), log
	stdin, err := s.skyd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := s.skyd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.skyd.Start(); err != nil {
		return err
	}
	s.stdin = stdin
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &s.env)
	}
	if err != nil {
		said, _ := os.ReadFile(s.logFile)
		return fmt.Errorf("start the stand-in for skyd: %w\n%s", err, process.LastLines(said))
	}
	return nil
}

// stop ends the stand-in and then the cloud.
func (s *scaleBench) stop() error {
	var err error
	if s.stdin != nil {
		err = errors.Join(s.stdin.Close(), s.skyd.Wait())
	}
	s.cloud.Close()
	return errors.Join(err, s.server.Close())
}

// newClient returns a client as skyctl has it.
func (s *scaleBench) newClient() *client.Client {
	cfg, err := config.Load(nil, func(name string) string { return s.env[name] })
	if err != nil {
		panic(err) // the stand-in has loaded the same settings
	}
	return client.New(cfg, time.Now)
}

// usage is what a measurement took.
type usage struct {
	wall time.Duration
	// skyd and world are the processor times of the stand-in for skyd, and of this process with the cloud, its machines
	// and the clients, in ms.
	skyd, world float64
	resident    sample
}

// measureUsage waits for a quiet machine and measures what do takes.
func (s *scaleBench) measureUsage(ctx context.Context, do func() error) (u usage, err error) {
	awaitQuietMachine(ctx)
	pids := []int{s.skyd.Process.Pid, os.Getpid()}
	before := make([]float64, len(pids))
	for i, pid := range pids {
		if before[i], err = readProcessorMillis(pid); err != nil {
			return u, err
		}
	}
	began := time.Now()
	if err := do(); err != nil {
		return u, err
	}
	u.wall = time.Since(began)
	for i, spent := range []*float64{&u.skyd, &u.world} {
		if *spent, err = readProcessorMillis(pids[i]); err != nil {
			return u, err
		}
		*spent -= before[i]
	}
	return u, u.resident.addProcessMemory(s.skyd.Process.Pid, "VmHWM")
}

// toRows compares the wall time with the ideal.
func (u usage) toRows(what string, ideal time.Duration, hasTarget bool) []resultRow {
	ratio := u.wall.Seconds() / ideal.Seconds()
	r := resultRow{what: what, value: fmt.Sprintf("%.1f s", u.wall.Seconds()),
		ratio: fmt.Sprintf("%.2f x its delays (%.1f s)", ratio, ideal.Seconds())}
	if hasTarget {
		r.target, r.met = fmt.Sprintf("at most %.1f x its delays", scaleTarget), ratio <= scaleTarget
	}
	return append([]resultRow{r}, u.toCostRows()...)
}

func (u usage) toCostRows() []resultRow {
	return []resultRow{
		{what: "processor time of skyd meanwhile", value: fmt.Sprintf("%.1f s", u.skyd/1000)},
		{what: "processor time of the cloud, its machines and the clients", value: fmt.Sprintf("%.1f s", u.world/1000)},
		{what: "skyd at its most, resident", value: fmt.Sprintf("%.0f MB", u.resident.maxValue())},
	}
}
