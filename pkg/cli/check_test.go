package cli

import (
	"encoding/json"
	"errors"
	"net"
	"os/user"
	"strconv"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/fixture"
	"github.com/sky-shift/skyctl/test/skydstub"
)

func TestCheckSucceedsIfOneCloudWorks(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	world.SetBehavior("", skydstub.Behavior{Check: func() (operation.CheckResult, error) {
		return operation.CheckResult{Worker: api.CheckFinding{Name: "worker", Version: "v9",
			Where: "process 1 on afar"},
			Providers: fixture.NewCheckFindings()[6:], Clouds: fixture.NewCloudStatuses()}, nil
	}})
	got := p.run("check", "-o", "json")
	var r render.CheckReport
	if err := json.Unmarshal([]byte(got.out), &r); err != nil || got.code != 0 || got.err != "" || !r.OK {
		t.Fatalf("%v: exit %d, %q, %q", err, got.code, got.out, got.err)
	}
	versions := map[string]string{}
	for _, f := range r.Parts {
		versions[f.Name] = f.Version
	}
	if versions["etcd"] == "" || versions["Temporal"] == "" || versions["worker"] != "v9" ||
		versions["Docker"] != "20.10.24" || len(r.Clouds) != 2 {
		t.Errorf("%+v", r)
	}
	if plain := p.run("check"); plain.code != 0 ||
		!strings.Contains(plain.out, "Clusters can be created on: docker.") ||
		!strings.Contains(plain.out, "its version differs") || strings.Contains(plain.out, "\x1b") {
		t.Errorf("exit %d, %q, %q", plain.code, plain.out, plain.err)
	}
}

func TestCheckWithoutAnyCloudExitsWithOne(t *testing.T) {
	world.StartWorker(t)
	world.SetBehavior("", skydstub.Behavior{Check: func() (operation.CheckResult, error) {
		return operation.CheckResult{Clouds: []api.CloudStatus{{Name: "docker", Reason: "no engine answers"}}}, nil
	}})
	got := newExternalUser(t).run("check")
	if got.code != ExitFailed || !strings.Contains(got.out, "no engine answers") || strings.Contains(got.err, "Error") {
		t.Errorf("exit %d, %q, %q", got.code, got.out, got.err)
	}
}

func TestCheckOfOneCloudAsksForThatCloud(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.run("check", "--cloud", "docker").checkOutput(t, 0, "asked for: docker", "")
	p.run("check", "--cloud", "docker", "--cluster", "x").checkOutput(t, ExitUsage, "", "cloud")
	world.SetBehavior("", skydstub.Behavior{Check: func() (operation.CheckResult, error) { // as of an older worker
		return operation.CheckResult{Clouds: []api.CloudStatus{{Name: "docker", Reason: "no engine answers"},
			{Name: "aws", Enabled: true}}}, nil
	}})
	got := p.run("check", "--cloud", "docker")
	if got.code != ExitFailed || !strings.Contains(got.out, "can be created on docker until") ||
		strings.Contains(got.out, "aws") {
		t.Errorf("exit %d, %q, %q", got.code, got.out, got.err)
	}
}

func TestCheckReportsAFailureOfTheWorker(t *testing.T) {
	world.StartWorker(t)
	world.SetBehavior("", skydstub.Behavior{Check: func() (operation.CheckResult, error) {
		return operation.CheckResult{}, errors.New("out of files")
	}})
	got := newExternalUser(t).run("check")
	if got.code != ExitFailed || !strings.Contains(got.out, "out of files") {
		t.Errorf("exit %d, %q, %q", got.code, got.out, got.err)
	}
}

func TestCheckOfSilentServersPrintsAPageAndExitsWithFive(t *testing.T) {
	p := newExternalUser(t)
	p.env["SKYCTL_TEMPORAL_ADDRESS"] = "127.0.0.1:1"
	got := p.run("check")
	if got.code != ExitUnreachable || !strings.Contains(got.out, "Temporal") ||
		!strings.Contains(got.out, "does not answer") || !strings.Contains(got.out, "skyctl") {
		t.Errorf("exit %d, %q, %q", got.code, got.out, got.err)
	}
}

func TestCheckWithoutAWorkerExitsWithFive(t *testing.T) {
	p := newExternalUser(t)
	p.env["SKYCTL_TEMPORAL_TASK_QUEUE"] = "deserted"
	got := p.run("check")
	if got.code != ExitUnreachable || !strings.Contains(got.out, "no worker is listening") {
		t.Errorf("exit %d, %q, %q", got.code, got.out, got.err)
	}
}

// newTakenPort returns a port at which another program of this user listens, and the user's name.
func newTakenPort(t *testing.T) (port, owner string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), me.Username
}

// readFinding runs check as JSON, and returns its exit code with a part's finding of that name whose message contains a
// text.
// Another skyd of the computer causes findings of the same name.
func (p *testUser) readFinding(part, name, contains string) (code int, found api.Finding) {
	p.t.Helper()
	got := p.run("check", "--cloud", "docker", "-o", "json")
	var r render.CheckReport
	if err := json.Unmarshal([]byte(got.out), &r); err != nil {
		p.t.Fatalf("%v: exit %d, %q, %q", err, got.code, got.out, got.err)
	}
	for _, f := range r.Parts {
		if f.Name != part {
			continue
		}
		for _, finding := range f.Findings {
			if finding.Check == name && strings.Contains(finding.Message, contains) {
				found = finding
			}
		}
	}
	return got.code, found
}

func TestCheckNamesTheOwnerOfAPortThatASettingNames(t *testing.T) {
	t.Setenv(withWorker, "1")
	p := newLocalUser(t)
	port, owner := newTakenPort(t)
	code, f := p.readFinding("computer", "Ports", port)
	if code != 0 || f.Check != "" {
		t.Errorf("without a setting: exit %d, %+v", code, f)
	}
	p.env["SKYCTL_DEV_ETCD_PORT"] = port
	_, f = p.readFinding("computer", "Ports", port) // skyd runs on other ports
	if f.Severity != api.FindingWarning ||
		!strings.Contains(f.Message, port+" (etcd) belongs to "+owner) || !strings.Contains(f.Fix, "--dev-etcd-port") {
		t.Errorf("with a setting: %+v", f)
	}
}

func TestCheckNamesTheComputersFindingsIfSkydCannotStart(t *testing.T) {
	p := newLocalUser(t)
	p.skyd = "/bin/false"
	port, owner := newTakenPort(t)
	p.env["SKYCTL_DEV_ETCD_PORT"] = port
	p.env["DOCKER_HOST"] = "unix://" + t.TempDir() + "/docker.sock"
	got := p.run("check")
	if got.code != ExitUnreachable {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
	for _, says := range []string{"starting skyd dev", port + " (etcd)", owner, "--dev-etcd-port", "DockerEngine",
		"No cluster can be created"} {
		if !strings.Contains(strings.Join(strings.Fields(got.out), " "), says) {
			t.Errorf("the page lacks %q:\n%s", says, got.out)
		}
	}
	if _, f := p.readFinding("computer", "Ports", port); f.Severity != api.FindingProblem {
		t.Errorf("the port: %+v", f)
	}
	if _, f := p.readFinding("Docker", "DockerEngine", ""); f.Fix == "" {
		t.Errorf("the engine: %+v", f)
	}
	if got := p.run("check", "--cloud", "aws"); strings.Contains(got.out, "DockerEngine") {
		t.Errorf("aws needs no Docker:\n%s", got.out)
	}
}

func TestCheckNamesWhatIsWrongWithDockerIfNoWorkerAnswers(t *testing.T) {
	p := newLocalUser(t) // the stand-in has no worker
	p.env["DOCKER_HOST"] = "unix://" + t.TempDir() + "/docker.sock"
	if code, f := p.readFinding("Docker", "DockerEngine", ""); code != ExitUnreachable || f.Fix == "" {
		t.Errorf("exit %d, %+v", code, f)
	}
}
