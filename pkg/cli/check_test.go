package cli

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/skydstub"
)

func newTestReport() checkReport {
	return checkReport{OK: true,
		Parts: []api.CheckFinding{
			{Name: "skyctl", Version: "v1.2.3"},
			{Name: "skyd", Version: "v1.2.3", Where: "process 4711, Web UI http://127.0.0.1:8233"},
			{Name: "disk", Where: "/home/ada/.skyconf", Details: []string{"41.2 of 100.0 GiB free"}},
			{Name: "etcd", Version: "3.6.6", Where: "https://127.0.0.1:2379"},
			{Name: "Temporal", Version: "1.29.1", Where: "127.0.0.1:7233"},
			{Name: "worker", Version: "v1.2.3", Where: "process 4711 on ada"},
			{Name: "Docker", Version: "20.10.24", Where: "unix:///var/run/docker.sock",
				Details: []string{"2 CPUs, 8.0 GiB of memory", "hosts are privileged containers"}},
			{Name: "SkyPilot", Where: "http://127.0.0.1:46581", Problem: "SkyPilot is not installed for skyctl: run " +
				"'make skypilot', which puts SkyPilot 0.14.1 into /home/ada/.skyconf/skypilot/venv"},
		},
		Clouds: []api.CloudStatus{
			{Name: "docker", Enabled: true},
			{Name: "aws", Reason: "AWS credentials are not set. Run aws configure, \x1b[31mor see\x1b[0m the " +
				"documentation of SkyPilot for how they are set up. Details: 'aws sts get-caller-identity' failed " +
				"with error: [botocore.exceptions.NoCredentialsError]"},
		},
	}
}

func TestACheckIsOnePageThatSaysWhyNot(t *testing.T) {
	compareGolden(t, "check.txt", newTestReport().renderPage(false))
	compareGolden(t, "check-wide.txt", newTestReport().renderPage(true))
	r := newTestReport()
	r.Clouds, r.OK, r.Parts[7].Problem = nil, false, ""
	if got := r.renderPage(false); !strings.Contains(got, "No cloud can be used") {
		t.Error(got)
	}
	r.Parts[3].Problem = "does not answer"
	if got := r.renderPage(false); !strings.Contains(got, "what does not work above") {
		t.Error(got)
	}
}

func TestACheckEndsWellWhereOneCloudWorksThoughOthersDoNot(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	world.SetBehavior("", skydstub.Behavior{Check: func() (operation.CheckResult, error) {
		r := newTestReport()
		return operation.CheckResult{Worker: api.CheckFinding{Name: "worker", Version: "v9",
			Where: "process 1 on afar"},
			Providers: r.Parts[6:], Clouds: r.Clouds}, nil
	}})
	got := p.run("check", "-o", "json")
	var r checkReport
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
		!strings.Contains(plain.out, "another version") || strings.Contains(plain.out, "\x1b") {
		t.Errorf("exit %d, %q, %q", plain.code, plain.out, plain.err)
	}
}

func TestACheckWithoutAnyCloudEndsWithOne(t *testing.T) {
	world.StartWorker(t)
	world.SetBehavior("", skydstub.Behavior{Check: func() (operation.CheckResult, error) {
		return operation.CheckResult{Clouds: []api.CloudStatus{{Name: "docker", Reason: "no engine answers"}}}, nil
	}})
	got := newExternalUser(t).run("check")
	if got.code != ExitFailed || !strings.Contains(got.out, "no engine answers") || strings.Contains(got.err, "Error") {
		t.Errorf("exit %d, %q, %q", got.code, got.out, got.err)
	}
}

func TestACheckThatFailsOnTheWorkerSaysSo(t *testing.T) {
	world.StartWorker(t)
	world.SetBehavior("", skydstub.Behavior{Check: func() (operation.CheckResult, error) {
		return operation.CheckResult{}, errors.New("out of files")
	}})
	got := newExternalUser(t).run("check")
	if got.code != ExitFailed || !strings.Contains(got.out, "out of files") {
		t.Errorf("exit %d, %q, %q", got.code, got.out, got.err)
	}
}

func TestACheckOfServersThatDoNotAnswerIsAPageAndEndsWithFive(t *testing.T) {
	p := newExternalUser(t)
	p.env["SKYCTL_TEMPORAL_ADDRESS"] = "127.0.0.1:1"
	got := p.run("check")
	if got.code != ExitUnreachable || !strings.Contains(got.out, "Temporal") ||
		!strings.Contains(got.out, "does not answer") || !strings.Contains(got.out, "skyctl") {
		t.Errorf("exit %d, %q, %q", got.code, got.out, got.err)
	}
}

func TestACheckWithoutAWorkerEndsWithFive(t *testing.T) {
	p := newExternalUser(t)
	p.env["SKYCTL_TEMPORAL_TASK_QUEUE"] = "deserted"
	got := p.run("check")
	if got.code != ExitUnreachable || !strings.Contains(got.out, "no worker is listening") {
		t.Errorf("exit %d, %q, %q", got.code, got.out, got.err)
	}
}
