package external

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/pki"
	"github.com/sky-shift/skyctl/test/eventually"
)

// stranger returns a client's TLS configuration: it trusts the servers' authority and shows the certificate that the
// test chooses.
func stranger(t *testing.T, show *tls.Certificate) *tls.Config {
	t.Helper()
	ca, err := os.ReadFile(stack.MemberFile("ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	c := &tls.Config{RootCAs: pool, ServerName: "localhost", NextProtos: []string{"h2"}}
	if show != nil {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return show, nil }
	}
	return c
}

// accepts reports whether a server continues after the handshake: in TLS 1.3 a client learns of a refusal only then.
func accepts(ctx context.Context, address string, c *tls.Config) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conn, err := (&tls.Dialer{Config: c}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	preface := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	_, unsent := conn.Write([]byte(preface))
	// A server that has refused may have hung up before that. Its reason can be read all the same.
	if _, err = io.ReadFull(conn, make([]byte, 9)); err == nil { // its settings
		err = unsent
	}
	return err
}

func TestEveryServerRequiresACertificateOfTheTeam(t *testing.T) {
	now := time.Now()
	dir := t.TempDir()
	other, err := pki.EnsureAuthority(pki.Pair{Cert: filepath.Join(dir, "ca.crt"), Key: filepath.Join(dir, "ca.key")},
		"skyctl team", now)
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := other.IssueCertificate(pki.Leaf{Subject: "tester", Client: true}, now)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := tls.LoadX509KeyPair(stack.MemberFile("tls.crt"), stack.MemberFile("tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	p := stack.place.ports
	for name, port := range map[string]int{
		"etcd": p.etcd, "etcd's peers": p.etcdPeer, "Temporal": p.temporal,
		"Temporal's HTTP": p.temporalInternal[0], "membership": p.temporalInternal[1],
		"matching": p.temporalInternal[2], "history": p.temporalInternal[4], "worker": p.temporalInternal[6],
	} {
		t.Run(name, func(t *testing.T) {
			for who, c := range map[string]*tls.Certificate{"nobody": nil, "a stranger": &foreign} {
				if err := accepts(t.Context(), loopbackAddress(port), stranger(t, c)); err == nil ||
					!strings.Contains(err.Error(), "certificate") {
					t.Errorf("%s: %v, want a refusal of the certificate", who, err)
				}
			}
			if name == "etcd" || name == "Temporal" {
				if err := accepts(t.Context(), loopbackAddress(port), stranger(t, &ours)); err != nil {
					t.Errorf("a member is refused: %v", err)
				}
			}
		})
	}
}

func TestPostgresAcceptsOnlyTemporalsCertificate(t *testing.T) {
	of := func(dir string) string {
		// psql runs as this user, who owns these files.
		return fmt.Sprintf("sslmode=verify-full sslrootcert=%[1]s/ca.crt sslcert=%[1]s/tls.crt sslkey=%[1]s/tls.key",
			filepath.Join(stack.place.certificatesDir(), dir))
	}
	if err := stack.postgres.checkConnection(t.Context(), of("temporal")); err != nil {
		t.Errorf("Temporal: %v", err)
	}
	for who, conninfo := range map[string]string{
		"the worker": of("worker"), "no certificate": "sslmode=require sslcert=/nonexistent",
		"no TLS": "sslmode=disable",
	} {
		if err := stack.postgres.checkConnection(t.Context(), conninfo); err == nil ||
			!strings.Contains(err.Error(), "FATAL") {
			t.Errorf("%s: %v, want a refusal", who, err)
		}
	}
}

func TestSkyctlWithoutACertificateNamesTheServer(t *testing.T) {
	var env []string
	for _, e := range stack.SkyctlEnv() {
		if !strings.Contains(e, "_TLS_CERT=") && !strings.Contains(e, "_TLS_KEY=") {
			env = append(env, e)
		}
	}
	code, _, stderr := skyctl(t, env, "get", "clusters")
	oneLine(t, code, stderr, "etcd", stack.EtcdEndpoint())
}

func TestWebUIIsReadOnly(t *testing.T) {
	url := stack.WebUIAddress() + "/api/v1/namespaces/skyctl/workflows"
	var resp *http.Response
	eventually.Succeeds(t, "it lists the workflows, once it has found Temporal again", func() (err error) {
		if resp, err = http.Get(url); err != nil {
			return err
		}
		defer resp.Body.Close()
		var list map[string]any
		if err := json.NewDecoder(resp.Body).Decode(&list); err != nil || resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s, %w", resp.Status, err)
		}
		return nil
	})

	body := `{"workflowType":{"name":"Delete"},"taskQueue":{"name":"skyctl"},"requestId":"1"}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/by-hand", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for _, c := range resp.Cookies() { // as a browser does; without them the request is refused for another reason
		req.AddCookie(c)
		req.Header.Set("X-CSRF-Token", c.Value)
	}
	if resp, err = http.DefaultClient.Do(req); err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("starting a workflow: %s %s", resp.Status, answer)
	}
	if _, err := temporal(t).DescribeWorkflowExecution(t.Context(), "by-hand", ""); err == nil {
		t.Error("a workflow was started through the Web UI")
	}
}

func TestServerThatIsDownIsNamedInOneLine(t *testing.T) {
	for _, c := range []struct {
		service, name, where string
		args                 []string
	}{
		{"etcd", "etcd", stack.EtcdEndpoint(), []string{"get", "clusters"}},
		{"etcd", "etcd", stack.EtcdEndpoint(),
			[]string{"create", "cluster", "down", "--provision", "--cloud", "docker"}},
		{"temporal", "Temporal", stack.TemporalAddress(),
			[]string{"create", "cluster", "down", "--provision", "--cloud", "docker"}},
	} {
		t.Run(c.service+"/"+c.args[0], func(t *testing.T) {
			withoutService(t, c.service)
			code, stdout, stderr := skyctl(t, stack.SkyctlEnv(), c.args...)
			oneLine(t, code, stderr, c.name, c.where)
			if stdout != "" {
				t.Errorf("stdout: %q", stdout)
			}
			noDev(t, stack.StateDir())
		})
	}
	if code, _, stderr := skyctl(t, stack.SkyctlEnv(), "get", "cluster", "down"); code != 4 {
		t.Errorf("a create with a server down left a cluster: exit %d\n%s", code, stderr)
	}
}

func TestWorkerWithoutAServerNamesItAndExits(t *testing.T) {
	for service, where := range map[string]string{"etcd": stack.EtcdEndpoint(), "temporal": stack.TemporalAddress()} {
		t.Run(service, func(t *testing.T) {
			withoutService(t, service)
			cmd, err := stack.newServiceCommand("worker")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			out, err := cmd.runToEnd(ctx)
			if err == nil || ctx.Err() != nil || !bytes.Contains(out, []byte(where)) ||
				bytes.Contains(out, []byte("goroutine")) {
				t.Errorf("%v\n%s", err, out)
			}
			noDev(t, filepath.Join(stack.o.Dir, "skyd"))
		})
	}
}
