// Package kubeapi is the small part of a Kubernetes client that the supervisor
// needs. It avoids client-go, which would be most of its size and start time.
package kubeapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// Client talks to one apiserver with one client certificate, or as a pod with its token.
type Client struct {
	base  string
	http  *http.Client
	token func() (string, error)
}

// StatusError is an answer other than 2xx.
type StatusError struct {
	Code    int
	Message string
}

func (e *StatusError) Error() string { return fmt.Sprintf("%d: %s", e.Code, e.Message) }

// HasStatusCode reports whether err is an answer with this HTTP status.
func HasStatusCode(err error, code int) bool {
	var status *StatusError
	return errors.As(err, &status) && status.Code == code
}

// New reads the files, all PEM. Server is https://host:port.
func New(server, caFile, certFile, keyFile string) (*Client, error) {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("load client certificate: %w", err)
	}
	caPEM, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("read CA certificate: %w", err)
	}
	return newClient(server, caPEM, cert)
}

// accountDir is where a pod finds its account's token and the authority of the apiserver.
const accountDir = "/var/run/secrets/kubernetes.io/serviceaccount"

// NewInPod is a client with the rights of the pod that it runs in.
func NewInPod() (*Client, error) {
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return nil, errors.New("this is no pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set")
	}
	caPEM, err := os.ReadFile(accountDir + "/ca.crt")
	if err != nil {
		return nil, fmt.Errorf("read CA certificate: %w", err)
	}
	c, err := newClient("https://"+net.JoinHostPort(host, port), caPEM)
	if err != nil {
		return nil, err
	}
	// The kubelet renews it.
	c.token = func() (string, error) {
		token, err := os.ReadFile(accountDir + "/token")
		return string(bytes.TrimSpace(token)), err
	}
	return c, nil
}

func newClient(server string, caPEM []byte, certs ...tls.Certificate) (*Client, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(caPEM) {
		return nil, errors.New("no certificate of the apiserver's authority")
	}
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: pool, Certificates: certs, MinVersion: tls.VersionTLS12},
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: 5 * time.Second,
		ForceAttemptHTTP2:   true,
		// A watch on a machine that vanished must not hang forever.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
	}
	return &Client{base: server, http: &http.Client{Transport: transport}}, nil
}

// CallJSON sends in as JSON, unless it is nil, and decodes the answer into out, unless
// that is nil. PATCH is a merge patch.
func (c *Client) CallJSON(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	resp, err := c.sendJSON(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// ApplyObject applies an object, in YAML or JSON, on the server side and takes over its fields from other managers.
func (c *Client) ApplyObject(ctx context.Context, path, manager string, object []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	resp, err := c.sendRequest(ctx, http.MethodPatch, path+"?force=true&fieldManager="+manager,
		"application/apply-patch+yaml", bytes.NewReader(object))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

func (c *Client) sendJSON(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(data)
	}
	kind := "application/json"
	if method == http.MethodPatch {
		kind = "application/merge-patch+json"
	}
	return c.sendRequest(ctx, method, path, kind, body)
}

func (c *Client) sendRequest(ctx context.Context, method, path, kind string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", kind)
	if c.token != nil {
		token, err := c.token()
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return nil, &StatusError{Code: resp.StatusCode,
			Message: fmt.Sprintf("%s %s: %s", method, path, bytes.TrimSpace(text))}
	}
	return resp, nil
}

// CheckReady queries the apiserver's readiness endpoint.
func (c *Client) CheckReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	resp, err := c.sendJSON(ctx, http.MethodGet, "/readyz", nil)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
