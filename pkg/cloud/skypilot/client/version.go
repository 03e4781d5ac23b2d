package client

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	utilversion "k8s.io/apimachinery/pkg/util/version"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/logtext"
)

// Version is the SkyPilot that the setup installs and the tests run, APIVersion its API version. The oldest supported
// server is 0.13.0, the oldest whose answers were compared.
const (
	Version    = "0.14.1"
	APIVersion = 62

	oldestVersion = "0.13.0"
	oldestAPI     = 56
)

// The environment variables by which SkyPilot's own programs find a remote server and its token.
const (
	EnvEndpoint = "SKYPILOT_API_SERVER_ENDPOINT"
	EnvToken    = "SKYPILOT_SERVICE_ACCOUNT_TOKEN"
)

// Health is how a server introduces itself.
type Health struct {
	Status     string `json:"status"`
	APIVersion string `json:"api_version"`
	Version    string `json:"version"`
}

// statusNeedsAuth is the status of a server that requires authentication.
const statusNeedsAuth = "needs_auth"

// EnsureVersion asks the server for its version, once, and returns an error that says what to do if skyctl does not
// support it.
func (c *Client) EnsureVersion(ctx context.Context) error {
	if c.isVersionAgreed() {
		return nil
	}
	var h Health
	if _, err := c.Call(ctx, "/api/health", nil, &h); err != nil {
		return err
	}
	if err := checkServerVersion(c.Endpoint, h); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.versionAgreed = true
	return nil
}

func (c *Client) isVersionAgreed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.versionAgreed
}

// checkServerVersion checks that a server's version is supported: from oldestVersion to the minor version after
// Version, which is how far SkyPilot promises that programs and servers are compatible.
func checkServerVersion(endpoint string, h Health) error {
	if h.Status == statusNeedsAuth {
		return &cloud.Error{Kind: cloud.Access, Message: fmt.Sprintf(
			"the SkyPilot API server at %s requires authentication: put the token of a service account (sky_…) into "+
				"the file that skypilot.tokenFile names, or into %s", endpoint, EnvToken)}
	}
	apiVersion, err := strconv.Atoi(h.APIVersion)
	if err != nil {
		return &cloud.Error{Kind: cloud.Infeasible, Message: fmt.Sprintf(
			"the server at %s is not a SkyPilot API server: check %s", endpoint, EnvEndpoint)}
	}
	if apiVersion < oldestAPI {
		return &cloud.Error{Kind: cloud.Infeasible, Message: fmt.Sprintf(
			"the SkyPilot API server at %s is too old: it is %s (API version %d), and skyctl needs %s (API version "+
				"%d) or newer; upgrade the server to %s",
			endpoint, h.Version, apiVersion, oldestVersion, oldestAPI, Version)}
	}
	theirs, ok := parseMinorVersion(h.Version)
	ours, _ := parseMinorVersion(Version)
	if apiVersion > APIVersion && ok && theirs > ours+1 {
		return newTooNewError(endpoint, h.Version, fmt.Sprintf("API version %d", apiVersion))
	}
	return nil
}

// handleVersionMismatch returns the error for a server that rejects our version. This can happen at any time, after an
// upgrade of the server.
func (c *Client) handleVersionMismatch(version, reason string) error {
	c.mu.Lock()
	c.versionAgreed = false
	c.mu.Unlock()
	return newTooNewError(c.Endpoint, version, logtext.Shorten(strings.Join(strings.Fields(reason), " ")))
}

func newTooNewError(endpoint, version, why string) error {
	return &cloud.Error{Kind: cloud.Infeasible, Message: fmt.Sprintf(
		"the SkyPilot API server at %s is too new: it is %s, and skyctl supports the versions around %s (API version "+
			"%d); use a server of that version, or a newer skyctl (%s)",
		endpoint, version, Version, APIVersion, why)}
}

// parseMinorVersion returns the minor number of a release of SkyPilot 0. Its versions are not semantic ones, such as
// 0.10.3.post1. A development version has no number that could be compared.
func parseMinorVersion(version string) (uint, bool) {
	v, err := utilversion.ParseGeneric(version)
	if err != nil || v.Major() != 0 {
		return 0, false
	}
	return v.Minor(), true
}
