package skypilot

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"time"
)

// The administrator of a server with authentication, and the hash of the password as the server expects it.
const (
	adminName     = "admin"
	adminPassword = "let-me-in"
	adminHash     = "$2b$12$dFBW2i3UWdcqnnpOl3AsDewgfTsp3AvpmQGnDNF/OEdoBfnMAItoy"
)

// TeamServer is a team's SkyPilot API server: it authenticates every client. It is behind a proxy, because it trusts
// clients on its own machine. It launches machines on the environment's clouds.
type TeamServer struct {
	// Endpoint is the proxy's URL.
	Endpoint string

	e     *Env
	proxy *httptest.Server
}

// StartTeamServer starts one in an environment that has no server yet; the environment's Stop also stops it.
func (e *Env) StartTeamServer(ctx context.Context) (*TeamServer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout,
		fmt.Errorf("the team's SkyPilot API server is not up after %v", startTimeout))
	defer cancel()
	err := e.startServerWithRetry(ctx, "SKYPILOT_AUTH_DB_TIMEOUT_SECONDS=60", "ENABLE_BASIC_AUTH=true",
		"ENABLE_SERVICE_ACCOUNTS=true", "SKYPILOT_INITIAL_BASIC_AUTH="+adminName+":"+adminHash)
	if err != nil {
		return nil, err
	}
	to, err := url.Parse(e.Endpoint)
	if err != nil {
		return nil, err
	}
	s := &TeamServer{e: e}
	s.proxy = httptest.NewServer(&httputil.ReverseProxy{
		FlushInterval: -1, // logs are read while they are written
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.SetXForwarded()
		},
	})
	s.Endpoint = s.proxy.URL
	return s, nil
}

// AdminCredentials is the administrator's name:password.
func (s *TeamServer) AdminCredentials() string { return adminName + ":" + adminPassword }

// Stop stops the server and its proxy.
func (s *TeamServer) Stop() error {
	s.proxy.CloseClientConnections()
	s.proxy.Close()
	return s.e.KillAPIServer()
}

// CreateToken creates a service account with a role (admin, user or viewer), and returns its token.
func (s *TeamServer) CreateToken(ctx context.Context, name, role string) (string, error) {
	body, err := json.Marshal(map[string]any{"token_name": name, "role": role, "expires_in_days": 1})
	if err != nil {
		return "", err
	}
	for {
		token, busy, err := s.requestToken(ctx, body)
		if !busy {
			return token, err
		}
		select {
		case <-ctx.Done():
			return "", err
		case <-time.After(pollInterval):
		}
	}
}

// requestToken also reports whether the server is too busy to answer.
func (s *TeamServer) requestToken(ctx context.Context, body []byte) (token string, busy bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Endpoint+"/users/service-account-tokens",
		bytes.NewReader(body))
	if err != nil {
		return "", false, err
	}
	req.SetBasicAuth(adminName, adminPassword)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", false, fmt.Errorf("create a service account: %w", err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", false, fmt.Errorf("create a service account: %w", err)
	}
	var made struct{ Token string }
	if json.Unmarshal(said, &made) != nil || made.Token == "" {
		return "", resp.StatusCode == http.StatusServiceUnavailable,
			fmt.Errorf("create a service account: %s: %s", resp.Status, said)
	}
	return made.Token, false, nil
}
