package skypilot

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	utilversion "k8s.io/apimachinery/pkg/util/version"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

// serverHealth is how a server introduces itself.
type serverHealth struct {
	Status     string `json:"status"`
	APIVersion string `json:"api_version"`
	Version    string `json:"version"`
}

// statusNeedsAuth is the status of a server that wants to know who asks.
const statusNeedsAuth = "needs_auth"

func (c *serverClient) isVersionAgreed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ok
}

// agreeOnVersion asks the server for its version, and says what to do where it is not understood.
func (c *serverClient) agreeOnVersion(ctx context.Context) error {
	var h serverHealth
	if _, err := c.callServer(ctx, "/api/health", nil, &h); err != nil {
		return err
	}
	if err := checkServerVersion(c.endpoint, h); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ok = true
	return nil
}

// checkServerVersion says whether a server's version is one that is spoken here: from oldestVersion to the minor
// version after Version, which is how far SkyPilot promises that programs and servers understand each other.
func checkServerVersion(endpoint string, h serverHealth) error {
	if h.Status == statusNeedsAuth {
		return &cloud.Error{Kind: cloud.Access, Message: fmt.Sprintf(
			"the SkyPilot API server at %s wants to know who asks: put the token of a service account (sky_…) into "+
				"the file that skypilot.tokenFile names, or into %s", endpoint, EnvToken)}
	}
	speaks, err := strconv.Atoi(h.APIVersion)
	if err != nil {
		return &cloud.Error{Kind: cloud.Infeasible, Message: fmt.Sprintf(
			"what answers at %s does not introduce itself as a SkyPilot API server: check %s", endpoint, EnvEndpoint)}
	}
	if speaks < oldestAPI {
		return &cloud.Error{Kind: cloud.Infeasible, Message: fmt.Sprintf(
			"the SkyPilot API server at %s is too old: it is %s (API version %d), and skyctl needs %s (API version "+
				"%d) or newer; upgrade the server to %s",
			endpoint, h.Version, speaks, oldestVersion, oldestAPI, Version)}
	}
	has, ok := parseMinorVersion(h.Version)
	ours, _ := parseMinorVersion(Version)
	if speaks > APIVersion && ok && has > ours+1 {
		return newTooNewError(endpoint, h.Version, fmt.Sprintf("API version %d", speaks))
	}
	return nil
}

// handleVersionMismatch is the answer of a server that refuses our version; it may come at any time, after an upgrade.
func (c *serverClient) handleVersionMismatch(version, said string) error {
	c.mu.Lock()
	c.ok = false
	c.mu.Unlock()
	return newTooNewError(c.endpoint, version, shortenText(strings.Join(strings.Fields(said), " ")))
}

func newTooNewError(endpoint, version, why string) error {
	return &cloud.Error{Kind: cloud.Infeasible, Message: fmt.Sprintf(
		"the SkyPilot API server at %s is too new: it is %s, and skyctl speaks the versions around %s (API version "+
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
