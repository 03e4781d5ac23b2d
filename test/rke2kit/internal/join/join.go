// Package join is the agent's side of joining: it takes a token and a server's
// address and comes back with the cluster's configuration and this node's
// certificates, however long the server takes.
package join

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/logline"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/pki"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/supervisor"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/token"
)

const (
	// A missing server is looked for often and spoken of rarely.
	dialInterval = 250 * time.Millisecond
	logInterval  = 2 * time.Second
	// refusedInterval is the pace of tries that a server turned down.
	refusedInterval = 5 * time.Second
)

// Options say who joins what.
type Options struct {
	Server       string // https://host:9345
	Token        string
	NodeName     string
	NodeIP       string
	NodePassword string
	PasswordFile string // named in the message about a rejected password
	Dir          string // where certificates and keys go
}

// Files of Dir after joining.
const (
	ServerCAFile       = "server-ca.crt"
	ClientCAFile       = "client-ca.crt"
	ServingKubelet     = "serving-kubelet"
	ClientKubelet      = "client-kubelet"
	ClientKubeProxy    = "client-kube-proxy"
	requestTimeout     = 10 * time.Second
	certificateMaxSize = 1 << 20
)

// Run joins. It returns an error only for what no waiting can mend: a token or
// an address that can't be read, a full disk, or ctx's end.
func Run(ctx context.Context, opts Options) (supervisor.ClusterConfig, error) {
	var cluster supervisor.ClusterConfig
	tok, err := token.Parse(opts.Token)
	if err != nil {
		return cluster, err
	}
	base, err := url.Parse(opts.Server)
	if err != nil || base.Scheme != "https" || base.Host == "" {
		return cluster, fmt.Errorf("invalid server url %q, want https://host:%s", opts.Server, supervisor.Port)
	}
	j := &joiner{opts: opts, token: tok, base: strings.TrimSuffix(base.String(), "/")}
	bundle, err := j.establishTrust(ctx)
	if err != nil {
		return cluster, err
	}
	if err := pki.WriteFile(filepath.Join(opts.Dir, ServerCAFile), bundle, 0o644); err != nil {
		return cluster, err
	}
	for {
		err := j.fetchNodeFiles(ctx, &cluster)
		var refusal *refusedError
		switch {
		case err == nil:
			return cluster, nil
		case ctx.Err() != nil:
			return cluster, ctx.Err()
		case errors.As(err, &refusal) && refusal.code == http.StatusServiceUnavailable:
			logline.Infof("Waiting to retrieve agent configuration; server is not ready: %v", err)
			err = sleepFor(ctx, dialInterval)
		case errors.As(err, &refusal):
			logline.Infof("Waiting to retrieve agent configuration; server is not ready: %v", err)
			err = sleepFor(ctx, refusedInterval)
		default:
			logline.Infof("Waiting to retrieve agent configuration; server is not ready: %v", err)
			err = sleepFor(ctx, logInterval)
		}
		if err != nil {
			return cluster, err
		}
	}
}

type joiner struct {
	opts   Options
	token  token.Token
	base   string
	client *http.Client
}

// refusedError is an answer other than 200.
type refusedError struct {
	url  string
	code int
	hint string
}

func (r *refusedError) Error() string {
	if r.hint != "" {
		return r.hint
	}
	return fmt.Sprintf("%s: %d %s", r.url, r.code, http.StatusText(r.code))
}

// establishTrust fetches the CA without trust and checks it against the token before any
// credential is sent.
func (j *joiner) establishTrust(ctx context.Context) ([]byte, error) {
	blind := &http.Client{
		Timeout:   requestTimeout,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
	}
	var spoken time.Time
	for {
		bundle, err := getBody(ctx, blind, j.base+"/cacerts")
		if err == nil {
			err = j.token.VerifyCA(bundle)
			if err == nil {
				pool := x509.NewCertPool()
				pool.AppendCertsFromPEM(bundle)
				j.client = &http.Client{
					Timeout: requestTimeout,
					Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool,
						MinVersion: tls.VersionTLS12}},
				}
				return bundle, nil
			}
		} else {
			err = fmt.Errorf("failed to get CA certs: %w", err)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if time.Since(spoken) >= logInterval {
			spoken = time.Now()
			logline.Errorf("Failed to validate connection to cluster at %s: %v", j.base, err)
		}
		if err := sleepFor(ctx, dialInterval); err != nil {
			return nil, err
		}
	}
}

func getBody(ctx context.Context, client *http.Client, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &refusedError{url: address, code: resp.StatusCode}
	}
	return io.ReadAll(io.LimitReader(resp.Body, certificateMaxSize))
}

// fetchNodeFiles gets everything a node needs, in one pass over one connection.
func (j *joiner) fetchNodeFiles(ctx context.Context, cluster *supervisor.ClusterConfig) error {
	data, err := j.callSupervisor(ctx, "config", nil)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, cluster); err != nil {
		return fmt.Errorf("parse agent configuration: %w", err)
	}
	for _, name := range []string{ClientKubelet, ServingKubelet, ClientKubeProxy} {
		if err := j.fetchCertificate(ctx, name); err != nil {
			return err
		}
	}
	clientCA, err := j.callSupervisor(ctx, ClientCAFile, nil)
	if err != nil {
		return err
	}
	return pki.WriteFile(filepath.Join(j.opts.Dir, ClientCAFile), clientCA, 0o644)
}

func (j *joiner) fetchCertificate(ctx context.Context, name string) error {
	base := filepath.Join(j.opts.Dir, name)
	key, request, err := pki.NewSigningRequest(j.opts.NodeName)
	if err != nil {
		return err
	}
	cert, err := j.callSupervisor(ctx, name+".crt", request)
	if err != nil {
		var refusal *refusedError
		if errors.As(err, &refusal) && refusal.code == http.StatusForbidden {
			refusal.hint = fmt.Sprintf("Node password rejected, duplicate hostname or contents of '%s' may not "+
				"match the server's record of node %s; "+
				"give the node another node-name, or delete the old Node first", j.opts.PasswordFile, j.opts.NodeName)
		}
		return err
	}
	if err := pki.WriteFile(base+".key", key, 0o600); err != nil {
		return err
	}
	return pki.WriteFile(base+".crt", cert, 0o644)
}

func (j *joiner) callSupervisor(ctx context.Context, name string, body []byte) ([]byte, error) {
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	address := j.base + supervisor.Prefix + name
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if j.token.IsBootstrap() {
		req.Header.Set("Authorization", "Bearer "+j.token.Password)
	} else {
		req.SetBasicAuth(token.NodeUser, j.token.Password)
	}
	req.Header.Set(supervisor.HeaderNodeName, j.opts.NodeName)
	req.Header.Set(supervisor.HeaderNodePassword, j.opts.NodePassword)
	req.Header.Set(supervisor.HeaderNodeIP, j.opts.NodeIP)
	req.Header.Set(supervisor.HeaderWait, "true")
	resp, err := j.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &refusedError{url: address, code: resp.StatusCode}
	}
	return io.ReadAll(io.LimitReader(resp.Body, certificateMaxSize))
}

func sleepFor(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
