package embedded

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"go.uber.org/zap"

	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/test/freeport"
)

// testConfig returns the settings of a new state directory with free ports.
func testConfig(t *testing.T, dir string) *config.Config {
	t.Helper()
	env, err := freeport.DevEnviron(dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(nil, func(k string) string { return env[k] })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func startStack(t *testing.T, c *config.Config) *Stack {
	t.Helper()
	s, err := StartServers(t.Context(), testOptions(t, c))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func testOptions(t *testing.T, c *config.Config) Options {
	return Options{Config: c, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

func etcdClient(t *testing.T, c *config.Config, tls *tls.Config) *clientv3.Client {
	t.Helper()
	e, err := clientv3.New(clientv3.Config{Endpoints: c.Etcd.Endpoints, TLS: tls, DialTimeout: 5 * time.Second,
		Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func clientTLS(t *testing.T, c config.TLS) *tls.Config {
	t.Helper()
	conf, err := c.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

func temporalClient(ctx context.Context, c *config.Config, tls *tls.Config) (client.Client, error) {
	return client.DialContext(ctx, client.Options{
		HostPort: c.Temporal.Address, Namespace: c.Temporal.Namespace,
		ConnectionOptions: client.ConnectionOptions{TLS: tls},
		Logger:            quietLog{},
	})
}

type quietLog struct{}

func (quietLog) Debug(string, ...any) {}
func (quietLog) Info(string, ...any)  {}
func (quietLog) Warn(string, ...any)  {}
func (quietLog) Error(string, ...any) {}

func contextWithin(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// The stack is started once for all subtests, which do not change it.
func TestStack(t *testing.T) {
	// A name that needs escaping in a URL.
	c := testConfig(t, filepath.Join(t.TempDir(), "a state?dir#1 100%"))
	s := startStack(t, c)

	t.Run("runs workflows and lists them by cluster", func(t *testing.T) { runsWorkflows(t, c) })
	t.Run("runs schedules", func(t *testing.T) { runsSchedules(t, c) })
	t.Run("refuses every connection without a client certificate", func(t *testing.T) { refusesStrangers(t, c) })
	t.Run("listens on loopback only", func(t *testing.T) {
		for _, l := range listeningAddresses(t) {
			if !l.IP.IsLoopback() {
				t.Errorf("%v is reachable from other machines", l)
			}
		}
	})
	t.Run("restricts its files to this user", func(t *testing.T) { keepsFilesPrivate(t, c) })
	t.Run("has a UI that can read", func(t *testing.T) { uiReads(t, c) })
	t.Run("has a UI that cannot write", func(t *testing.T) { uiRejectsWrites(t, c) })
	t.Run("has a UI that lists operations first", func(t *testing.T) { uiListsOperations(t, c) })
	t.Run("has a UI for loopback names only", func(t *testing.T) { uiRejectsForeignHosts(t, c) })
	t.Run("has a UI that cannot write through encoded slashes", func(t *testing.T) { uiRejectsEncodedWrites(t, c) })
	t.Run("refuses a second start on the same data", func(t *testing.T) {
		other := testConfig(t, c.Dir)
		_, err := StartServers(t.Context(), testOptions(t, other))
		if err == nil || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) ||
			!strings.Contains(err.Error(), c.Dir) {
			t.Errorf("the error should name process and directory: %v", err)
		}
	})
	t.Run("refuses a busy port before anything is written", func(t *testing.T) {
		other := testConfig(t, t.TempDir())
		other.Dev.EtcdPort = c.Dev.EtcdPort
		_, err := StartServers(t.Context(), testOptions(t, other))
		if err == nil || !strings.Contains(err.Error(), strconv.Itoa(c.Dev.EtcdPort)) ||
			!strings.Contains(err.Error(), "SKYCTL_DEV_ETCD_PORT") {
			t.Errorf("the error should name port and setting: %v", err)
		}
		if _, err := os.Stat(other.ServerDir()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("it wrote into %s (%v)", other.ServerDir(), err)
		}
	})
	t.Run("is still running", func(t *testing.T) {
		select {
		case <-s.Done():
			t.Error(s.Err())
		default:
		}
	})
}

func runsWorkflows(t *testing.T, c *config.Config) {
	ctx := contextWithin(t, 2*time.Minute)
	tc, err := temporalClient(ctx, c, clientTLS(t, c.Temporal.TLS))
	if err != nil {
		t.Fatal(err)
	}
	defer tc.Close()
	w := worker.New(tc, "test", worker.Options{})
	hello := func(_ workflow.Context, name string) (string, error) { return "hello " + name, nil }
	w.RegisterWorkflowWithOptions(hello, workflow.RegisterOptions{Name: "hello"})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	attributes := temporal.NewSearchAttributes(
		temporal.NewSearchAttributeKeyKeyword("ClusterName").ValueSet("ada"),
		temporal.NewSearchAttributeKeyKeyword("Operation").ValueSet("provision"))
	run, err := tc.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: "cluster/ada", TaskQueue: "test", TypedSearchAttributes: attributes}, "hello", "ada")
	if err != nil {
		t.Fatal(err)
	}
	var got string
	if err := run.Get(ctx, &got); err != nil || got != "hello ada" {
		t.Fatalf("got %q, %v", got, err)
	}
	err = await.Success(ctx, pollInterval, func() error { // visibility is updated after the workflow
		n, err := tc.CountWorkflow(ctx, countRequest(c, `ClusterName = "ada" AND Operation = "provision"`))
		if err == nil && n.Count != 1 {
			err = fmt.Errorf("%d workflows are listed", n.Count)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func runsSchedules(t *testing.T, c *config.Config) {
	ctx := contextWithin(t, 2*time.Minute)
	tc, err := temporalClient(ctx, c, clientTLS(t, c.Temporal.TLS))
	if err != nil {
		t.Fatal(err)
	}
	defer tc.Close()
	ran := make(chan struct{}, 1)
	w := worker.New(tc, "sweep", worker.Options{})
	w.RegisterWorkflowWithOptions(func(workflow.Context) error {
		select {
		case ran <- struct{}{}:
		default:
		}
		return nil
	}, workflow.RegisterOptions{Name: "sweep"})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	_, err = tc.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID: "sweep", TriggerImmediately: true,
		Spec:   client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: time.Hour}}},
		Action: &client.ScheduleWorkflowAction{ID: "sweep", Workflow: "sweep", TaskQueue: "sweep"},
	})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-ran:
	case <-ctx.Done():
		t.Error("the schedule never started its workflow")
	}
}

// refusesStrangers tries every port of this process except the UI's, including the internal ports of Temporal's
// services.
func refusesStrangers(t *testing.T, c *config.Config) {
	known := clientTLS(t, c.Temporal.TLS)
	stranger := &tls.Config{RootCAs: known.RootCAs, NextProtos: []string{"h2"}}
	known.NextProtos = stranger.NextProtos
	var asked int
	for _, l := range listeningAddresses(t) {
		if l.Port == c.Dev.UIPort {
			continue
		}
		asked++
		if err := handshake(l.String(), known); err != nil {
			t.Errorf("%v with a client certificate: %v", l, err)
		}
		if err := handshake(l.String(), stranger); err == nil {
			t.Errorf("%v let in a client without a certificate", l)
		}
	}
	if asked != 5 {
		t.Errorf("tried %d ports, want etcd's and four of Temporal's", asked)
	}
	if _, err := temporalClient(contextWithin(t, 5*time.Second), c, stranger); err == nil {
		t.Error("Temporal let in a client without a certificate")
	}
	if _, err := etcdClient(t, c, stranger).Get(contextWithin(t, 2*time.Second), "x"); err == nil {
		t.Error("etcd let in a client without a certificate")
	}
	if _, err := etcdClient(t, c, clientTLS(t, c.Etcd.TLS)).Put(contextWithin(t, time.Minute), "x", "y"); err != nil {
		t.Errorf("etcd with a client certificate: %v", err)
	}
}

// handshake waits for the first byte from the server: only then does a client of TLS 1.3 learn that it was refused.
func handshake(address string, conf *tls.Config) error {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Minute}, "tcp", address, conf)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	// The preface of HTTP/2 with empty settings.
	preface := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	if _, err := conn.Write([]byte(preface)); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}

func keepsFilesPrivate(t *testing.T, c *config.Config) {
	err := filepath.WalkDir(c.Dir, func(path string, d fs.DirEntry, err error) error {
		var info fs.FileInfo
		if err == nil {
			info, err = d.Info()
		}
		if errors.Is(err, fs.ErrNotExist) { // the servers, which run, have removed it
			return nil
		}
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func uiReads(t *testing.T, c *config.Config) {
	for _, path := range []string{"/", "/api/v1/namespaces", "/api/v1/namespaces/" + c.Temporal.Namespace +
		"/workflows",
		"/api/v1/cluster-info", "/api/v1/namespaces/" + c.Temporal.Namespace + "/search-attributes"} {
		resp, err := http.Get(c.UI.Address + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}

func uiRejectsWrites(t *testing.T, c *config.Config) {
	url := c.UI.Address + "/api/v1/namespaces/" + c.Temporal.Namespace + "/workflows/cluster%2Fada"
	// With the CSRF token that the UI gives to its own pages.
	page, err := http.Get(c.UI.Address)
	if err != nil {
		t.Fatal(err)
	}
	_ = page.Body.Close()
	for _, verb := range []string{"", "/terminate", "/cancel", "/signal/x"} {
		req, err := http.NewRequest(http.MethodPost, url+verb, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		for _, cookie := range page.Cookies() {
			req.AddCookie(cookie)
			if cookie.Name == "_csrf" {
				req.Header.Set("X-CSRF-TOKEN", cookie.Value)
			}
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %s", verb, resp.Status)
		}
	}
	// Temporal also rejects writes with the UI's certificate.
	ctx := contextWithin(t, time.Minute)
	files := config.TLS{CA: c.PKIFile("ca.crt"), Cert: c.PKIFile("ui.crt"), Key: c.PKIFile("ui.key")}
	tc, err := temporalClient(ctx, c, clientTLS(t, files))
	if err != nil {
		t.Fatal(err)
	}
	defer tc.Close()
	var denied *serviceerror.PermissionDenied
	if _, err := tc.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: "test"}, "hello", "x"); !errors.As(err,
		&denied) {
		t.Errorf("starting a workflow with the UI's certificate: %v", err)
	}
	if err := tc.TerminateWorkflow(ctx, "cluster/ada", "", "x"); !errors.As(err, &denied) {
		t.Errorf("terminating a workflow with the UI's certificate: %v", err)
	}
}
