package join

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/kubeapi"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/logline"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/pki"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/supervisor"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/token"
)

const (
	agentPassword  = "agent-secret"
	serverPassword = "server-secret"
	// patience is longer than anything takes on a busy computer, unless it is stuck.
	patience = 2 * time.Minute
)

// head is a supervisor over an apiserver that keeps secrets in memory.
type head struct {
	t          *testing.T
	address    string
	hash       string
	supervisor *supervisor.Supervisor
	api        *kubeapi.Client
}

func startHead(t *testing.T, ready bool) *head {
	t.Helper()
	dir := t.TempDir()
	serverCA, err := pki.LoadOrCreateCA(dir, "server-ca", "server")
	if err != nil {
		t.Fatal(err)
	}
	clientCA, err := pki.LoadOrCreateCA(dir, "client-ca", "client")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	h := &head{t: t, address: "https://" + listener.Addr().String(), api: secretStore(t, dir, clientCA)}
	if h.hash, err = token.HashCA(serverCA.PEM); err != nil {
		t.Fatal(err)
	}
	h.supervisor, err = supervisor.Serve(ctx, listener, supervisor.Options{
		ServerCA: serverCA, ClientCA: clientCA, Hosts: []string{"127.0.0.1"},
		NodePassword: agentPassword, ServerPassword: serverPassword,
		Cluster: supervisor.ClusterConfig{ClusterCIDR: "10.42.0.0/16"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if ready {
		h.supervisor.MarkCoreReady(h.api)
	}
	return h
}

// secretStore serves the secrets API from a map.
func secretStore(t *testing.T, dir string, ca *pki.CA) *kubeapi.Client {
	t.Helper()
	var mu sync.Mutex
	stored := map[string]map[string]any{}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		switch r.Method {
		case http.MethodPost:
			var s map[string]any
			if err := json.NewDecoder(r.Body).Decode(&s); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			data := map[string][]byte{}
			for key, value := range s["stringData"].(map[string]any) {
				data[key] = []byte(value.(string))
			}
			s["data"] = data
			stored[s["metadata"].(map[string]any)["name"].(string)] = s
		case http.MethodDelete:
			delete(stored, name)
		default:
			s, found := stored[name]
			if !found {
				http.NotFound(w, r)
				return
			}
			_ = json.NewEncoder(w).Encode(s)
		}
	}))
	t.Cleanup(server.Close)
	base := filepath.Join(dir, "admin")
	if err := ca.IssueTo(base, pki.Leaf{CommonName: "admin", Client: true}); err != nil {
		t.Fatal(err)
	}
	caFile := filepath.Join(dir, "api-ca.crt")
	pemBytes := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(caFile, pemBytes, 0o600); err != nil {
		t.Fatal(err)
	}
	api, err := kubeapi.New(server.URL, caFile, base+".crt", base+".key")
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// node is one that joins. Its log lines are looked at by wait.
func (h *head) node(name, tok, password string) Options {
	return Options{
		Server: h.address, Token: tok, NodeName: name, NodeIP: "127.0.0.1",
		NodePassword: password, PasswordFile: "/etc/rancher/node/password", Dir: h.t.TempDir(),
	}
}

func (h *head) full(password string) string {
	return token.Token{CAHash: h.hash, User: token.NodeUser, Password: password}.FormatFull()
}

// logs is a place for log lines that tests wait for.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), text)
}

// refusedWith joins in vain until the log says text.
func refusedWith(t *testing.T, opts Options, text string) {
	t.Helper()
	var lines logs
	logline.SetOutput(&lines)
	t.Cleanup(func() { logline.SetOutput(os.Stderr) })
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := Run(ctx, opts)
		done <- err
	}()
	for deadline := time.Now().Add(patience); !lines.has(text); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %q in the log:\n%s", text, lines.text.String())
		}
		select {
		case err := <-done:
			t.Fatalf("the agent ended with %v", err)
		default:
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func mustJoin(t *testing.T, opts Options) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cluster, err := Run(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	if cluster.ClusterCIDR != "10.42.0.0/16" {
		t.Errorf("configuration is %+v", cluster)
	}
	for _, file := range []string{ServerCAFile, ClientCAFile, ClientKubelet + ".crt", ServingKubelet + ".key",
		ClientKubeProxy + ".crt"} {
		if _, err := os.Stat(filepath.Join(opts.Dir, file)); err != nil {
			t.Errorf("after joining: %v", err)
		}
	}
}

func TestNodeJoinsWithTheFullAndTheShortToken(t *testing.T) {
	h := startHead(t, true)
	mustJoin(t, h.node("one", h.full(agentPassword), "pw1"))
	mustJoin(t, h.node("two", agentPassword, "pw2"))
	mustJoin(t, h.node("one", h.full(agentPassword), "pw1")) // again, as after a restart
}

func TestNodeJoinsWithABootstrapToken(t *testing.T) {
	h := startHead(t, true)
	created, err := supervisor.CreateBootstrapToken(context.Background(), h.api, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	mustJoin(t, h.node("one", token.Token{CAHash: h.hash, Password: created}.FormatFull(), "pw"))
	expired, err := supervisor.CreateBootstrapToken(context.Background(), h.api, time.Nanosecond)
	if err != nil {
		t.Fatal(err)
	}
	refusedWith(t, h.node("two", expired, "pw"), "401 Unauthorized")
}

func TestTokenIsNotSentToAnotherCA(t *testing.T) {
	h := startHead(t, true)
	other := strings.Repeat("ab", 32)
	opts := h.node("one", "K10"+other+"::node:"+agentPassword, "pw")
	refusedWith(t, opts, "token CA hash does not match the Cluster CA certificate hash: "+other+" != "+h.hash)
}

func TestWrongTokenIsRetriedForever(t *testing.T) {
	h := startHead(t, true)
	for _, password := range []string{"wrong", serverPassword} {
		refusedWith(t, h.node("one", h.full(password), "pw"),
			"Waiting to retrieve agent configuration; server is not ready: "+h.address+
				"/v1-rke2/config: 401 Unauthorized")
	}
}

func TestTakenNameIsRejectedUntilItsNodeIsForgotten(t *testing.T) {
	h := startHead(t, true)
	mustJoin(t, h.node("one", agentPassword, "pw"))
	second := h.node("one", agentPassword, "another")
	refusedWith(t, second, "Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' "+
		"may not match")
	if _, err := os.Stat(filepath.Join(second.Dir, ClientKubelet+".key")); err == nil {
		t.Error("a rejected node keeps a key without certificate")
	}
	h.supervisor.ForgetNode(context.Background(), "one")
	mustJoin(t, second)
}

func TestMissingServerIsAwaited(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	refusedWith(t, Options{Server: "https://" + address, Token: "x", NodeName: "n", Dir: t.TempDir()},
		"failed to get CA certs")
}

func TestOnlyOpenEndpointsAnswerBeforeTheCoreIsUp(t *testing.T) {
	h := startHead(t, false)
	j := &joiner{opts: h.node("one", agentPassword, "pw"), base: h.address, token: token.Token{Password: agentPassword}}
	if _, err := j.establishTrust(context.Background()); err != nil {
		t.Fatal(err)
	}
	status := func(path, user string) int {
		req, err := http.NewRequest(http.MethodGet, h.address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if user != "" {
			req.SetBasicAuth(token.NodeUser, user)
		}
		resp, err := j.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	for _, c := range []struct {
		path, user string
		want       int
	}{
		{"/ping", "", 200}, {"/cacerts", "", 200},
		{"/v1-rke2/readyz", "", 401}, {"/v1-rke2/readyz", agentPassword, 503}, {"/v1-rke2/config", agentPassword, 503},
	} {
		if got := status(c.path, c.user); got != c.want {
			t.Errorf("%s as %q: %d, want %d", c.path, c.user, got, c.want)
		}
	}
	// An agent that waits is answered the moment the core is up.
	joined := make(chan error, 1)
	go func() {
		_, err := Run(context.Background(), h.node("one", agentPassword, "pw"))
		joined <- err
	}()
	h.supervisor.MarkCoreReady(h.api)
	select {
	case err := <-joined:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("the agent is not answered")
	}
}

func TestWhatCannotBeReadIsAnError(t *testing.T) {
	for name, opts := range map[string]Options{
		"token": {Server: "https://127.0.0.1:9345", Token: "K10" + strings.Repeat("0a", 32) + "::"},
		"url":   {Server: "127.0.0.1", Token: "x"},
	} {
		if _, err := Run(context.Background(), opts); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
