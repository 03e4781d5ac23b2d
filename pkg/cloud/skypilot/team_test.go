package skypilot_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot"
	"github.com/sky-shift/skyctl/test/eventually"
	skytest "github.com/sky-shift/skyctl/test/skypilot"
)

// onTeamServer is a Cloud on another owner's server, which requires authentication.
func (w *world) onTeamServer(t *testing.T, s *skytest.TeamServer, token string) *skypilot.Cloud {
	t.Helper()
	return w.newCloud(t, func(o *skypilot.Options) {
		o.Endpoint, o.Token, o.Port, o.Plugins = s.Endpoint, token, 0, nil
	})
}

func TestTeamServerAcceptsOnlyServiceAccountTokens(t *testing.T) {
	w := start(t)
	s, err := w.env.StartTeamServer(eventually.Context(t, 3*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the machines are ended
		if t.Failed() {
			t.Log(w.env.ReadLog("server"))
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	token := func(name, role string) string {
		t.Helper()
		made, err := s.CreateToken(eventually.Context(t, 3*time.Minute), name, role)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	good := token("launcher", "user")
	byPassword := *s
	byPassword.Endpoint = strings.Replace(s.Endpoint, "://", "://"+s.AdminCredentials()+"@", 1)
	c := w.onTeamServer(t, &byPassword, "")
	if _, err := c.ListEnabledClouds(eventually.Context(t, 3*time.Minute)); err != nil || c.Endpoint() != s.Endpoint {
		t.Errorf("by name and password at %s: %v", c.Endpoint(), err)
	}
	for name, bad := range map[string]string{
		"no token":             "",
		"a token of no server": "sky_" + strings.Repeat("x", 40),
		"a token cut short":    good[:len(good)-4],
		"no token at all":      "let-me-in",
	} {
		_, err := w.onTeamServer(t, s, bad).RankPlacements(eventually.Context(t, 3*time.Minute),
			api.GroupSpec{Cloud: "aws"}, api.Neighbors{})
		if cloud.KindOf(err) != cloud.Access || !strings.Contains(err.Error(), s.Endpoint) ||
			!strings.Contains(err.Error(), skypilot.EnvToken) {
			t.Errorf("%s: %s: %v", name, cloud.KindOf(err), err)
		}
		if bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("%s: the error shows it: %v", name, err)
		}
	}
	w.launchesWith(t, w.onTeamServer(t, s, good))

	req := launchOf("looker", 0, onAWS("us-east-1"), newKey(t))
	_, err = w.onTeamServer(t, s, token("looker", "viewer")).SubmitLaunch(eventually.Context(t, 3*time.Minute), req)
	if cloud.KindOf(err) != cloud.Access {
		t.Errorf("a user with the viewer role: %s: %v", cloud.KindOf(err), err)
	}
}

// launchesWith takes a machine from the plan to its end.
func (w *world) launchesWith(t *testing.T, c *skypilot.Cloud) {
	t.Helper()
	f, clouds := c.InspectProvider(eventually.Context(t, 4*time.Minute))
	if f.Problem != "" || len(clouds) == 0 {
		t.Errorf("%+v %+v", f, clouds)
	}
	plan, err := c.RankPlacements(eventually.Context(t, 4*time.Minute), api.GroupSpec{Cloud: "aws", NumNodes: 1},
		api.Neighbors{})
	if err != nil {
		t.Fatal(err)
	}
	k := newKey(t)
	req := launchOf("team", 0, plan[0], k)
	m := await(t, c, req, submit(t, c, req))
	if got := logIn(t, m, k, "sudo -n id -u"); got != "0" {
		t.Errorf("sudo gives user %q, want root", got)
	}
	living := w.living(t, "team")
	if len(living) != 1 || living[0].ID != m.ID || living[0].Profile != "" {
		t.Errorf("AWS has %+v, want just %s, without a profile", living, m.ID)
	}
	listed, err := c.ListMachines(eventually.Context(t, 3*time.Minute), req.Owner)
	if err != nil || len(listed) != 1 || listed[0].ID != m.ID {
		t.Errorf("listed %+v, %v", listed, err)
	}
	gone(t, c, req)
	if err := c.RemoveClusterResources(eventually.Context(t, 3*time.Minute), req.Owner); err != nil ||
		w.group(t, "team") != nil {
		t.Errorf("the group is still there, %v", err)
	}
	if left := w.living(t, "team"); len(left) > 0 {
		t.Errorf("AWS still has %+v", left)
	}
	if listed, err := c.ListMachines(eventually.Context(t, 3*time.Minute), req.Owner); err != nil || len(listed) > 0 {
		t.Errorf("still listed: %+v, %v", listed, err)
	}
}
