package cli

import (
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/operation"
	build "github.com/sky-shift/skyctl/pkg/version"
	"github.com/sky-shift/skyctl/test/skydstub"
)

func TestSettingsThatTheServerIgnoresAreReported(t *testing.T) {
	p := newLocalUser(t)
	if got := p.run("server", "start"); got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.err)
	}
	p.run("get", "clusters").check(t, 0, "NAME    MANAGER    LABELS    RESOURCES    STATUS    AGE\n",
		"Fetching clusters\n✔ Fetching clusters completed successfully.\n")

	p.env["SKYCTL_RKE2_VERSION"] = "v9.9.9+rke2r1"
	if got := p.run(createArgs("nine")...); got.code != ExitUsage || !strings.Contains(got.err, "SKYCTL_RKE2_VERSION") {
		t.Errorf("an invalid version: exit %d: %s", got.code, got.err)
	}
	delete(p.env, "SKYCTL_RKE2_VERSION")

	p.env["SKYCTL_DOCKER_NETWORK"] = "mine"
	got := p.run(createArgs("net")...)
	for _, says := range []string{"docker.network", "not mine ($SKYCTL_DOCKER_NETWORK)", restartServerCommand} {
		if got.code != ExitUsage || strings.Count(got.err, says) != 1 {
			t.Errorf("exit %d: %s", got.code, got.err)
		}
	}
	if got := p.run("get", "clusters"); got.code != 0 ||
		strings.Count(got.err, "Note: the running server (process ") != 1 {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
	delete(p.env, "SKYCTL_DOCKER_NETWORK")

	p.writeConfig("reconcile: {interval: 7s}\n")
	for _, args := range [][]string{{"get", "clusters"}, {"server", "start"}, {"server", "status"}} {
		if got := p.run(args...); !strings.Contains(got.err, "uses reconcile.interval 1m0s, and not 7s (") ||
			!strings.Contains(got.err, restartServerCommand) {
			t.Errorf("%v: exit %d: %s", args, got.code, got.err)
		}
	}
	if got := p.run("server", "status", "-o", "json"); got.err != "" ||
		!strings.Contains(got.out, `"key": "reconcile.interval"`) {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
	if got := p.run("get", "clusters", "--temporal-namespace", "other"); got.code != ExitUsage ||
		!strings.Contains(got.err, "--temporal-namespace") {
		t.Errorf("a flag that is not used: exit %d: %s", got.code, got.err)
	}
}

func TestServerOfAnotherVersionIsRefusedOnlyIfItIgnoresFlags(t *testing.T) {
	t.Setenv("TEST_SKYD_VERSION", "v0.0.1")
	p := newLocalUser(t)
	first := p.run("get", "clusters")
	if first.code != 0 || !strings.Contains(first.err, "is skyd v0.0.1") ||
		!strings.Contains(first.err, restartServerCommand) {
		t.Errorf("exit %d: %s", first.code, first.err)
	}
	got := p.run(createArgs("old", "--kubernetes-version", "v1.34.1+rke2r1")...)
	if got.code != ExitUsage || !strings.Contains(got.err,
		"older version that does not know --kubernetes_version") ||
		!strings.Contains(got.err, restartServerCommand) {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
}

// newWorkerBehavior returns a team's worker that describes itself.
func newWorkerBehavior(level int, settings map[string]api.UsedSetting) skydstub.Behavior {
	return skydstub.Behavior{Plan: func(api.GroupSpec) (operation.PlanResult, error) {
		info := &operation.WorkerInfo{Where: "process 7 on there", Version: build.ReadBuild().Version, Level: level,
			Settings: settings}
		return operation.PlanResult{Placements: []api.Placement{{Cloud: "docker", Region: "told"}}, Worker: info}, nil
	}}
}

func TestTeamWorkersSettingsAreCompared(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	world.SetBehavior("told", newWorkerBehavior(api.WorkerLevel, map[string]api.UsedSetting{
		"docker.network": {From: config.FromDefault}, "reconcile.interval": {Value: "1m0s", From: config.FromDefault},
	}))
	p.env["SKYCTL_RKE2_VERSION"] = "v1.34.1+rke2r1"
	p.env["SKYCTL_RECONCILE_INTERVAL"] = "7s"
	got := p.run(createArgs("asks", "--region", "told")...)
	if got.code != 0 || !strings.Contains(got.err,
		"the team's worker (process 7 on there) uses reconcile.interval 1m0s, and not 7s "+
			"($SKYCTL_RECONCILE_INTERVAL)") {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
	c, err := world.Store.ReadCluster(t.Context(), "asks")
	if err != nil || c.Spec.KubernetesVersion != "v1.34.1+rke2r1" {
		t.Errorf("the cluster lacks the version: %+v, %v", c, err)
	}
	p.env["SKYCTL_DOCKER_NETWORK"] = "mine"
	if got := p.run(createArgs("other", "--region", "told")...); got.code != ExitUsage ||
		!strings.Contains(got.err, "set it where skyd worker runs") {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
	delete(p.env, "SKYCTL_DOCKER_NETWORK")
	world.SetBehavior("told", newWorkerBehavior(1, nil))
	if got := p.run(createArgs("old", "--region", "told")...); got.code != ExitUsage ||
		!strings.Contains(got.err, "$SKYCTL_RKE2_VERSION") {
		t.Errorf("an older worker: exit %d: %s", got.code, got.err)
	}
	for _, name := range []string{"other", "old"} {
		if _, err := world.Store.ReadCluster(t.Context(), name); err == nil {
			t.Errorf("cluster %s was written", name)
		}
	}
}

func TestWorkerThatDoesNotKnowAFieldIsRefused(t *testing.T) {
	request := api.GroupSpec{Cloud: "aws", KubernetesVersion: "v1.34.1+rke2r1", SSHUser: "admin"}
	asked := []askedField{{1, "--cloud"}, {2, "--kubernetes_version"}, {3, "--ssh_user"}}
	for level, want := range map[int]string{1: "--kubernetes_version, --ssh_user;", 2: "know --ssh_user;",
		3: "clusters with pools;", 4: "changes of machines and nodes by files;", 5: "snapshots, and clusters",
		6: "the settings of RKE2,", 7: "a bastion of their own", api.ObjectLevel: ""} {
		a := &app{worker: &knownWorker{where: "the running server", level: level}}
		err := a.requireCapableServer(&createOptions{request: request, asked: asked})
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("level %d: %v, want %q", level, err, want)
		}
	}
}

func TestDryRunRejectsFlagsItWouldIgnore(t *testing.T) {
	p := newUserWithoutState(t)
	for _, flag := range []string{"--wait", "--keep-on-failure", "--timeout=1h"} {
		if got := p.run(createArgs("plan", "--dry-run", flag)...); got.code != ExitUsage ||
			!strings.Contains(got.err, "cannot be used with --dry-run") {
			t.Errorf("%s: exit %d: %s", flag, got.code, got.err)
		}
	}
	p.checkNothingWritten()
}
