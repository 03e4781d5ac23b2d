package skypilot

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/logtext"
)

// Update rewrites recordings of a real server's responses.
var Update = flag.Bool("update", false, "rewrite recordings")

// newLaunchRequest asks for a worker of a cluster.
func newLaunchRequest(p api.Placement, spec api.GroupSpec) cloud.LaunchRequest {
	return cloud.LaunchRequest{
		Owner: cloud.Owner{Installation: "5c3c8f4e", Cluster: "demo", ClusterUID: "0b7c1d2e"},
		Name:  "sky-demo-1", Index: 1, Incarnation: "bcdfg", Placement: p, Spec: spec,
	}
}

func TestAbsentServerIsReportedAtOnce(t *testing.T) {
	for _, endpoint := range []string{"http://127.0.0.1:1", "http://no-such-host.invalid:46580"} {
		c, err := New(Options{Dir: t.TempDir(), Endpoint: endpoint})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		_, err = c.RankPlacements(t.Context(), api.GroupSpec{Cloud: "aws"}, api.Neighbors{})
		if cloud.KindOf(err) != cloud.Unreachable || !strings.Contains(err.Error(), endpoint) ||
			!strings.Contains(err.Error(), EnvEndpoint) {
			t.Errorf("%s: %v", cloud.KindOf(err), err)
		}
		// A server that is only slow is asked again for 20 s. A resolver that does not answer takes 10 s.
		if spent := time.Since(begin); spent > 18*time.Second {
			t.Errorf("the error took %v", spent)
		}
	}
}

func TestFailedLocalServerIsNotWaitedFor(t *testing.T) {
	c, err := New(Options{Dir: t.TempDir(), Port: 1, Python: "/bin/false"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.RankPlacements(t.Context(), api.GroupSpec{Cloud: "aws"},
		api.Neighbors{}); cloud.KindOf(err) != cloud.Unreachable ||
		!strings.Contains(err.Error(), "server.log") {
		t.Errorf("%s: %v", cloud.KindOf(err), err)
	}
}

func TestCheckReportExplainsDisabledClouds(t *testing.T) {
	data, err := os.ReadFile("testdata/recorded/check.log")
	if err != nil {
		t.Fatal(err)
	}
	var log logtext.LastLines
	if err := logtext.ForEachLine(bytes.NewReader(data), log.Add); err != nil {
		t.Fatal(err)
	}
	got := parseCheckReport(log.All())
	if why, ok := got["aws"]; !ok || why != "" {
		t.Errorf("aws is enabled, but the check reports %q", why)
	}
	if why := got["gcp"]; !strings.HasPrefix(why, "GCP tools are not installed") || strings.Contains(why, "Enabled") {
		t.Errorf("gcp: %q", why)
	}
}
