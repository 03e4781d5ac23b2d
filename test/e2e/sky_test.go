package e2e

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud"
	skytest "github.com/sky-shift/skyctl/test/skypilot"
)

// newSky is an installation whose machines come from a real SkyPilot API server. The clouds behind that are the test's:
// AWS in earnest against an API server of its own, and a cheaper one; the machines of both are Docker hosts.
func newSky(t *testing.T) (*installation, *skytest.Env) {
	t.Helper()
	env, err := skytest.Start(t.Context(), skytest.Options{Dir: filepath.Join(t.TempDir(), "sky"), WithoutServer: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the clusters are deleted
		if t.Failed() {
			t.Logf("the AWS API server's log:\n%s", env.Log("aws"))
		}
		if err := env.Stop(); err != nil {
			t.Errorf("stop SkyPilot: %v", err)
		}
	})
	i := newInstallation(t)
	for _, v := range env.Vars() { // those of the clouds; SKYPILOT_… would point at a server of somebody else's
		if !strings.HasPrefix(v, "SKYPILOT_") {
			i.env = append(i.env, v)
		}
	}
	i.env = append(i.env, "SKYCTL_SKYPILOT_PYTHON="+env.Python(), "SKYCTL_SKYPILOT_PORT="+freePorts(t, 1)[0],
		"SKYCTL_SKYPILOT_AWS_INSTANCE_PROFILE="+skytest.Profile)
	if err := skytest.InstallCatalogs(filepath.Join(i.dir, "skypilot", "state")); err != nil {
		t.Fatal(err)
	}
	return i, env
}

func TestAClusterOnAWSIsOneThatSkyPilotLaunched(t *testing.T) {
	i, env := newSky(t)
	r := i.tryFor(10*time.Minute, "create", "cluster", "aws", "--provision", "--cloud", "aws", "--cpus", "2+", "--num_nodes", "3", "--wait")
	if r.code != 0 {
		t.Fatalf("create: exit %d\n%s%s%s", r.code, r.stdout, r.stderr, i.try("describe", "cluster", "aws").stdout)
	}
	if n := strings.Count(i.kubectl("aws", "get", "nodes", "--no-headers"), " Ready "); n != 3 {
		t.Errorf("%d nodes Ready, want 3", n)
	}
	instances, err := env.AWS.Instances(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := i.cluster("aws")
	running := 0
	for _, m := range instances {
		if m.State != "running" {
			continue
		}
		running++
		if m.Tags[cloud.LabelClusterUID] != c.Metadata.UID || m.Region != c.Status.Placement.Region {
			t.Errorf("instance %+v is not where and whose it should be", m)
		}
	}
	if running != 3 || c.Status.Placement.Cloud != "aws" || c.Status.Placement.PriceTotal <= 0 {
		t.Errorf("%d instances run; placement %+v", running, c.Status.Placement)
	}
	i.run("delete", "cluster", "aws", "--yes", "--wait")
	left, err := env.Machines(t.Context())
	if err != nil || len(left) != 0 {
		t.Errorf("left after delete: %+v, %v", left, err)
	}
}
