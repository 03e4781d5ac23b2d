package skypilot

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

// health is how a server introduces itself.
type health struct {
	Status     string `json:"status"`
	APIVersion string `json:"api_version"`
	Version    string `json:"version"`
}

// needsAuth is the status of a server that wants to know who asks.
const needsAuth = "needs_auth"

func (c *client) agreed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ok
}

// agree asks the server for its version, and says what to do where it is not understood.
func (c *client) agree(ctx context.Context) error {
	var h health
	if _, err := c.ask(ctx, "/api/health", nil, &h); err != nil {
		return err
	}
	if err := understood(c.endpoint, h); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ok = true
	return nil
}

// understood says whether a server's version is one that is spoken here: from oldestVersion to the minor version after
// Version, which is how far SkyPilot promises that programs and servers understand each other.
func understood(endpoint string, h health) error {
	if h.Status == needsAuth {
		return &cloud.Error{Kind: cloud.Access, Message: fmt.Sprintf(
			"the SkyPilot API server at %s wants to know who asks: put the token of a service account (sky_…) into the file that skypilot.tokenFile names, or into %s", endpoint, EnvToken)}
	}
	speaks, err := strconv.Atoi(h.APIVersion)
	if err != nil {
		return &cloud.Error{Kind: cloud.Infeasible, Message: fmt.Sprintf(
			"what answers at %s does not introduce itself as a SkyPilot API server: check %s", endpoint, EnvEndpoint)}
	}
	if speaks < oldestAPI {
		return &cloud.Error{Kind: cloud.Infeasible, Message: fmt.Sprintf(
			"the SkyPilot API server at %s is too old: it is %s (API version %d), and skyctl needs %s (API version %d) or newer; upgrade the server to %s",
			endpoint, h.Version, speaks, oldestVersion, oldestAPI, Version)}
	}
	has, ok := minor(h.Version)
	ours, _ := minor(Version)
	if speaks > API && ok && has > ours+1 {
		return tooNew(endpoint, h.Version, fmt.Sprintf("API version %d", speaks))
	}
	return nil
}

// mismatch is the answer of a server that refuses our version; it may come at any time, after an upgrade.
func (c *client) mismatch(version, said string) error {
	c.mu.Lock()
	c.ok = false
	c.mu.Unlock()
	return tooNew(c.endpoint, version, short(strings.Join(strings.Fields(said), " ")))
}

func tooNew(endpoint, version, why string) error {
	return &cloud.Error{Kind: cloud.Infeasible, Message: fmt.Sprintf(
		"the SkyPilot API server at %s is too new: it is %s, and skyctl speaks the versions around %s (API version %d); use a server of that version, or a newer skyctl (%s)",
		endpoint, version, Version, API, why)}
}

// minor is the middle number of a release of SkyPilot 0; a development version has none that could be compared.
func minor(version string) (int, bool) {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 || parts[0] != "0" {
		return 0, false
	}
	n, err := strconv.Atoi(parts[1])
	return n, err == nil
}
