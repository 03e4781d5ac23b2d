package cli

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operations/rehearsal"
)

func report() checkReport {
	return checkReport{OK: true,
		Parts: []api.Finding{
			{Name: "skyctl", Version: "v1.2.3"},
			{Name: "skyd", Version: "v1.2.3", Where: "process 4711, Web UI http://127.0.0.1:8233"},
			{Name: "disk", Where: "/home/ada/.skyconf", Details: []string{"41.2 of 100.0 GiB free"}},
			{Name: "etcd", Version: "3.6.6", Where: "https://127.0.0.1:2379"},
			{Name: "Temporal", Version: "1.29.1", Where: "127.0.0.1:7233"},
			{Name: "worker", Version: "v1.2.3", Where: "process 4711 on ada"},
			{Name: "Docker", Version: "20.10.24", Where: "unix:///var/run/docker.sock", Details: []string{"2 CPUs, 8.0 GiB of memory", "hosts are privileged containers"}},
			{Name: "SkyPilot", Where: "http://127.0.0.1:46581", Problem: "SkyPilot is not installed for skyctl: run 'make skypilot', which puts SkyPilot 0.14.1 into /home/ada/.skyconf/skypilot/venv"},
		},
		Clouds: []api.CloudStatus{
			{Name: "docker", Enabled: true},
			{Name: "aws", Reason: "AWS credentials are not set. Run aws configure, \x1b[31mor see\x1b[0m the documentation of SkyPilot for how they are set up. Details: 'aws sts get-caller-identity' failed with error: [botocore.exceptions.NoCredentialsError]"},
		},
	}
}

func TestACheckIsOnePageThatSaysWhyNot(t *testing.T) {
	golden(t, "check.txt", report().text(false))
	golden(t, "check-wide.txt", report().text(true))
	r := report()
	r.Clouds, r.OK, r.Parts[7].Problem = nil, false, ""
	if got := r.text(false); !strings.Contains(got, "No cloud can be used") {
		t.Error(got)
	}
	r.Parts[3].Problem = "does not answer"
	if got := r.text(false); !strings.Contains(got, "what does not work above") {
		t.Error(got)
	}
}

func TestACheckEndsWellWhereOneCloudWorksThoughOthersDoNot(t *testing.T) {
	world.Work(t)
	p := outsider(t)
	world.Cast("", rehearsal.Play{Check: func() (api.CheckResult, error) {
		r := report()
		return api.CheckResult{Worker: api.Finding{Name: "worker", Version: "v9", Where: "process 1 on afar"}, Providers: r.Parts[6:], Clouds: r.Clouds}, nil
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
	if versions["etcd"] == "" || versions["Temporal"] == "" || versions["worker"] != "v9" || versions["Docker"] != "20.10.24" || len(r.Clouds) != 2 {
		t.Errorf("%+v", r)
	}
	if plain := p.run("check"); plain.code != 0 || !strings.Contains(plain.out, "Clusters can be created on: docker.") ||
		!strings.Contains(plain.out, "another version") || strings.Contains(plain.out, "\x1b") {
		t.Errorf("exit %d, %q, %q", plain.code, plain.out, plain.err)
	}
}

func TestACheckWithoutAnyCloudEndsWithOne(t *testing.T) {
	world.Work(t)
	world.Cast("", rehearsal.Play{Check: func() (api.CheckResult, error) {
		return api.CheckResult{Clouds: []api.CloudStatus{{Name: "docker", Reason: "no engine answers"}}}, nil
	}})
	got := outsider(t).run("check")
	if got.code != ExitFailed || !strings.Contains(got.out, "no engine answers") || strings.Contains(got.err, "Error") {
		t.Errorf("exit %d, %q, %q", got.code, got.out, got.err)
	}
}

func TestACheckThatFailsOnTheWorkerSaysSo(t *testing.T) {
	world.Work(t)
	world.Cast("", rehearsal.Play{Check: func() (api.CheckResult, error) { return api.CheckResult{}, errors.New("out of files") }})
	got := outsider(t).run("check")
	if got.code != ExitFailed || !strings.Contains(got.out, "out of files") {
		t.Errorf("exit %d, %q, %q", got.code, got.out, got.err)
	}
}

func TestACheckOfServersThatDoNotAnswerIsAPageAndEndsWithFive(t *testing.T) {
	p := outsider(t)
	p.env["SKYCTL_TEMPORAL_ADDRESS"] = "127.0.0.1:1"
	got := p.run("check")
	if got.code != ExitUnreachable || !strings.Contains(got.out, "Temporal") || !strings.Contains(got.out, "does not answer") || !strings.Contains(got.out, "skyctl") {
		t.Errorf("exit %d, %q, %q", got.code, got.out, got.err)
	}
}

func TestACheckWithoutAWorkerEndsWithFive(t *testing.T) {
	p := outsider(t)
	p.env["SKYCTL_TEMPORAL_TASK_QUEUE"] = "deserted"
	got := p.run("check")
	if got.code != ExitUnreachable || !strings.Contains(got.out, "no worker is listening") {
		t.Errorf("exit %d, %q, %q", got.code, got.out, got.err)
	}
}
