package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/sky-shift/skyctl/test/freeport"
)

const (
	servicesLimit = time.Minute
	pollInterval  = 10 * time.Millisecond
)

// baselineServices are the servers of skyd dev as separate programs: etcd, Temporal with its four services and a SQLite
// file, and its Web UI. They run without TLS and without a worker, so they do less than skyd dev.
type baselineServices struct {
	dir  string
	etcd string // host:port
	// temporal is the frontend's host:port, ui the Web UI's.
	temporal, ui string
	running      []*exec.Cmd
}

func startBaselineServices(ctx context.Context, b *bench, name string) (*baselineServices, error) {
	free, err := freeport.Find(11)
	if err != nil {
		return nil, err
	}
	var ports []string
	for _, port := range free {
		ports = append(ports, strconv.Itoa(port))
	}
	s := &baselineServices{dir: filepath.Join(b.dir, name), etcd: "127.0.0.1:" + ports[0], temporal: "127.0.0.1:" +
		ports[2], ui: "127.0.0.1:" + ports[10]}
	b.addCleanup(s.stop)
	if err := s.writeConfigFiles(ports); err != nil {
		return nil, err
	}
	peers := "http://127.0.0.1:" + ports[1]
	programs := [][]string{
		{"etcd", "--data-dir", filepath.Join(s.dir, "etcd"), "--listen-client-urls", "http://" + s.etcd,
			"--advertise-client-urls", "http://" + s.etcd,
			"--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster",
			"default=" + peers, "--log-level", "error"},
		{"temporal-server", "--config-file", filepath.Join(s.dir, "temporal.yaml"), "--allow-no-auth", "start"},
		{"temporal-ui-server", "--root", s.dir, "--config", "ui", "--env", "bench", "start"},
	}
	for _, argv := range programs {
		if err := s.startProgram(filepath.Join(b.bin, "external", argv[0]), argv[1:]); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, servicesLimit)
	defer cancel()
	return s, s.awaitHealthy(ctx)
}

func (s *baselineServices) startProgram(program string, args []string) error {
	log, err := os.Create(filepath.Join(s.dir, filepath.Base(program)+".log"))
	if err != nil {
		return err
	}
	defer log.Close() // the program has its own copy of the descriptor
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w: run `make external` first", err)
	}
	s.running = append(s.running, cmd)
	return nil
}

// awaitHealthy returns when all of them answer.
func (s *baselineServices) awaitHealthy(ctx context.Context) error {
	conn, err := grpc.NewClient(s.temporal, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	frontend := &grpc_health_v1.HealthCheckRequest{Service: "temporal.api.workflowservice.v1.WorkflowService"}
	checks := []func() error{
		func() error { return checkHTTPOK(ctx, "http://"+s.etcd+"/health") },
		func() error { return checkHTTPOK(ctx, "http://"+s.ui+"/healthz") },
		func() error {
			r, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, frontend, grpc.WaitForReady(true))
			if err == nil && r.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
				err = fmt.Errorf("the frontend of Temporal is %s", r.GetStatus())
			}
			return err
		},
	}
	for _, check := range checks {
		for {
			err := check()
			if err == nil {
				break
			}
			if sleepFor(ctx, pollInterval) != nil {
				return fmt.Errorf("wait for the baseline's services: %w", err)
			}
		}
	}
	return nil
}

func checkHTTPOK(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return errors.New(r.Status)
	}
	return nil
}

// totalResidentMB returns the memory of all services together.
func (s *baselineServices) totalResidentMB() (sum float64, err error) {
	for _, cmd := range s.running {
		mb, err := readResidentMB(cmd.Process.Pid)
		if err != nil {
			return 0, err
		}
		sum += mb
	}
	return sum, nil
}

func (s *baselineServices) stop() error {
	for _, cmd := range s.running {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // the error says that it was killed
	}
	s.running = nil
	return nil
}

// writeConfigFiles writes the settings of Temporal and its UI. The database is as durable as skyd's.
func (s *baselineServices) writeConfigFiles(ports []string) error {
	services := ""
	for i, name := range []string{"frontend", "history", "matching", "worker"} {
		services += fmt.Sprintf("  %s: {rpc: {grpcPort: %s, membershipPort: %s, bindOnIP: 127.0.0.1}}\n", name,
			ports[2+2*i], ports[3+2*i])
	}
	if err := os.MkdirAll(filepath.Join(s.dir, "ui"), 0o700); err != nil {
		return err
	}
	temporal := fmt.Sprintf(temporalConfig, filepath.Join(s.dir, "temporal.db"), s.temporal, services)
	if err := os.WriteFile(filepath.Join(s.dir, "temporal.yaml"), []byte(temporal), 0o600); err != nil {
		return err
	}
	ui := fmt.Sprintf("temporalGrpcAddress: %s\nhost: 127.0.0.1\nport: %s\nenableUi: true\n", s.temporal, ports[10])
	return os.WriteFile(filepath.Join(s.dir, "ui", "bench.yaml"), []byte(ui), 0o600)
}

const temporalConfig = `log: {stdout: true, level: error}
persistence:
  defaultStore: sqlite
  visibilityStore: sqlite
  numHistoryShards: 1
  datastores:
    sqlite:
      sql:
        pluginName: sqlite
        databaseName: %[1]s
        connectProtocol: tcp # wanted, and not used
        connectAddr: none
        connectAttributes: {mode: rwc, setup: "true", journal_mode: wal, synchronous: full}
global: {membership: {maxJoinDuration: 30s, broadcastAddress: 127.0.0.1}}
clusterMetadata:
  failoverVersionIncrement: 10
  masterClusterName: active
  currentClusterName: active
  clusterInformation: {active: {enabled: true, initialFailoverVersion: 1, rpcAddress: "%[2]s"}}
dcRedirectionPolicy: {policy: noop}
services:
%[3]spublicClient: {hostPort: "%[2]s"}
`
