package external

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

func load(t *testing.T, env ...string) *types.Project {
	t.Helper()
	p, err := LoadCompose(t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestServicesAwaitTheirDependencies(t *testing.T) {
	p := load(t)
	awaited := map[string]string{}
	for _, s := range p.Services {
		for on, d := range s.DependsOn {
			want := types.ServiceConditionHealthy
			if p.Services[on].HealthCheck == nil {
				want = types.ServiceConditionCompletedSuccessfully
			}
			if d.Condition != want {
				t.Errorf("%s waits for %s to be %q, want %q", s.Name, on, d.Condition, want)
			}
			awaited[on] = d.Condition
		}
	}
	for _, s := range p.Services {
		switch {
		case s.HealthCheck == nil && awaited[s.Name] != types.ServiceConditionCompletedSuccessfully:
			t.Errorf("%s has no health check, and no service waits for its end", s.Name)
		case s.HealthCheck == nil && s.Restart != "no":
			t.Errorf("%s runs to its end and is restarted (%s)", s.Name, s.Restart)
		case s.HealthCheck != nil && s.Restart != "unless-stopped":
			t.Errorf("%s stays down after a crash (%q)", s.Name, s.Restart)
		}
	}
	if got := len(p.Services); got != len(startOrder) {
		t.Errorf("%d services, of which the tests run %d", got, len(startOrder))
	}
}

// The worker's container has no other place of its own that survives its replacement.
func TestWorkerKeepsSnapshotsInAVolume(t *testing.T) {
	const dir = "/var/lib/skyd/snapshots"
	p := load(t)
	i := slices.IndexFunc(p.Services["worker"].Volumes, func(v types.ServiceVolumeConfig) bool {
		return v.Target == dir && v.Type == types.VolumeTypeVolume && !v.ReadOnly
	})
	if i < 0 {
		t.Errorf("no volume is mounted at %s", dir)
	}
	root, err := RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	// Otherwise the volume belongs to root.
	dockerfile := read(t, root, p.Services["worker"].Build.Dockerfile)
	if !strings.Contains(dockerfile, "--chown=65532:65532 /state /var/lib") ||
		!strings.Contains(dockerfile, "ENV SKYCONF_DIR=/var/lib/skyd") {
		t.Error("the image has no directory for the volume that the worker can write to")
	}
}

var exact = regexp.MustCompile(`:v?\d+\.\d+(\.\d+)?(-[a-z]+)?$`)

func TestImagesArePinnedToTheTestedVersions(t *testing.T) {
	root, err := RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	mod := read(t, root, "go.mod")
	p := load(t)
	for _, s := range p.Services {
		if !exact.MatchString(s.Image) {
			t.Errorf("%s has the image %s, whose tag is not an exact version", s.Name, s.Image)
		}
	}
	for service, module := range map[string]string{
		"temporal": "go.temporal.io/server", "schema": "go.temporal.io/server",
		"ui": "github.com/temporalio/ui-server/v2", "etcd": "go.etcd.io/etcd/server/v3",
	} {
		version := required(t, mod, module)
		_, tag, _ := strings.Cut(p.Services[service].Image, ":")
		if strings.TrimPrefix(tag, "v") != version {
			t.Errorf("%s has the image %s, and go.mod %s %s", service, p.Services[service].Image, module, version)
		}
	}
	dockerfile := read(t, root, p.Services["worker"].Build.Dockerfile)
	for _, from := range regexp.MustCompile(`(?m)^FROM (\S+)`).FindAllStringSubmatch(dockerfile, -1) {
		if from[1] != "scratch" && !exact.MatchString(from[1]) {
			t.Errorf("the worker's image is built from %s, whose tag is not an exact version", from[1])
		}
	}
	goVersion := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(mod)[1]
	if !strings.Contains(dockerfile, "FROM golang:"+goVersion+"-") {
		t.Errorf("the worker's image isn't built with Go %s, which go.mod requires", goVersion)
	}
}

func TestImageOfTheNewestReleaseIsPulled(t *testing.T) {
	root, err := RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	version := "0.0.0" // no release: Compose builds an image that it cannot pull
	released := regexp.MustCompile(`(?m)^## \[(\d\S*)\]`).FindStringSubmatch(read(t, root, "CHANGELOG.md"))
	if released != nil {
		version = released[1]
	}
	for _, name := range []string{"certificates", "namespace", "worker"} {
		s := load(t).Services[name]
		if s.Image != "ghcr.io/sky-shift/skyd:"+version || s.PullPolicy != "" || s.Build == nil {
			t.Errorf("%s has the image %s (pull policy %q); the newest release in CHANGELOG.md is %s", name, s.Image,
				s.PullPolicy, version)
		}
	}
}

func required(t *testing.T, mod, module string) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^\s*` + regexp.QuoteMeta(module) + ` v(\S+)`).FindStringSubmatch(mod)
	if m == nil {
		t.Fatalf("go.mod doesn't require %s", module)
	}
	return m[1]
}

func read(t *testing.T, elem ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestServicesListenOnLoopbackByDefault(t *testing.T) {
	published := func(p *types.Project) map[string]string {
		at := map[string]string{}
		for _, s := range p.Services {
			for _, port := range s.Ports {
				at[s.Name] = port.HostIP
			}
			if s.NetworkMode == "host" {
				t.Errorf("%s has the host's network", s.Name)
			}
		}
		return at
	}
	for service, ip := range published(load(t)) {
		if ip != "127.0.0.1" {
			t.Errorf("%s listens on %q by default", service, ip)
		}
	}
	asked := published(load(t, "SKYCTL_BIND=10.0.0.5"))
	want := map[string]string{"temporal": "10.0.0.5", "etcd": "10.0.0.5", "worker": "10.0.0.5", "ui": "127.0.0.1"}
	for service := range want {
		if asked[service] != want[service] {
			t.Errorf("with SKYCTL_BIND %s listens on %q, want %q", service, asked[service], want[service])
		}
	}
	if len(asked) != len(want) {
		t.Errorf("published ports: %v", asked)
	}
}

func TestEtcdSharesANetworkWithTheWorkerOnly(t *testing.T) {
	p := load(t)
	var near []string
	for _, s := range p.Services {
		for n := range s.Networks {
			if _, shared := p.Services["etcd"].Networks[n]; shared && s.Name != "etcd" {
				near = append(near, s.Name)
			}
		}
	}
	if !slices.Equal(near, []string{"worker"}) {
		t.Errorf("etcd shares a network with %v, so an intruder in one of them can reach it", near)
	}
	for n := range p.Services["ui"].Networks {
		for _, s := range p.Services {
			if _, shared := s.Networks[n]; shared && s.Name != "ui" && s.Name != "temporal" {
				t.Errorf("the Web UI shares a network with %s", s.Name)
			}
		}
	}
}

func TestComposeFileHoldsNoSecret(t *testing.T) {
	p := load(t)
	secret := regexp.MustCompile(`(?i)passw|pwd|secret|token`)
	for _, s := range p.Services {
		for k, v := range s.Environment {
			if secret.MatchString(k) && (v == nil || !strings.HasPrefix(*v, "/etc/skyctl/")) {
				t.Errorf("%s: %s is set in the environment", s.Name, k)
			}
		}
		for _, a := range slices.Concat(s.Command, s.Entrypoint) {
			if secret.MatchString(a) {
				t.Errorf("%s: an argument may be a secret: %s", s.Name, a)
			}
		}
	}
}

func TestServicesHaveOwnCertificatesAndNoPrivileges(t *testing.T) {
	p := load(t)
	volumeOf := map[string]string{} // a directory of skyd team certificates, and its volume
	for _, v := range p.Services["certificates"].Volumes {
		volumeOf[strings.TrimPrefix(v.Target, "/etc/skyctl/")] = v.Source
	}
	made, err := os.ReadDir(stack.place.certificatesDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range made {
		if volumeOf[d.Name()] == "" {
			t.Errorf("skyd team certificates creates %s, which has no volume", d.Name())
		}
	}
	if len(volumeOf) != len(made) {
		t.Errorf("volumes for %v, of which skyd team certificates creates %d", volumeOf, len(made))
	}
	for _, s := range p.Services {
		if !slices.Contains(s.CapDrop, "ALL") || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") ||
			s.Privileged {
			t.Errorf("%s has more privileges than it needs", s.Name)
		}
		if len(s.Configs) > 0 && s.ReadOnly {
			t.Errorf("%s is read-only, so docker compose can't put its configs in place", s.Name)
		}
		if s.Name == "certificates" {
			continue
		}
		if len(s.CapAdd) > 0 {
			t.Errorf("%s has the capabilities %v", s.Name, s.CapAdd)
		}
		for _, v := range s.Volumes {
			if v.Source == volumeOf["ca"] || v.Type == types.VolumeTypeBind {
				t.Errorf("%s mounts %s", s.Name, v.Source)
			}
			if v.Target == "/etc/skyctl" && !v.ReadOnly {
				t.Errorf("%s can write its certificates", s.Name)
			}
		}
	}
}
