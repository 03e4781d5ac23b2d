package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/test/eventually"
)

// `make e2e-rke2` sets these. SKYCTL_TEST_IMAGE is the image of the tests' pods: a web server whose page has its pod's
// name, on the port in WHOAMI_PORT_NUMBER. Without it, the release is the kit, which has an image of its own.
// SKYCTL_TEST_MIRROR is the address of a pull-through mirror of Docker Hub.
const (
	imageVariable  = "SKYCTL_TEST_IMAGE"
	mirrorVariable = "SKYCTL_TEST_MIRROR"
)

const (
	kitImage = "docker.io/skyctl/hello:kit"
	podPort  = "8080"
)

// withKit reports whether the release is the offline kit.
func withKit() bool { return os.Getenv(imageVariable) == "" }

// needsKit skips a test that the official release cannot pass.
func needsKit(t *testing.T, why string) {
	t.Helper()
	if !withKit() {
		t.Skip("needs the offline kit: " + why)
	}
}

// podImage returns the image of the tests' pods, and when it is pulled: the kit's is on every machine.
func podImage() (image, pullPolicy string) {
	if withKit() {
		return kitImage, "Never"
	}
	return os.Getenv(imageVariable), "IfNotPresent"
}

// formatContainer returns what the containers of the tests' pods have in common, for a manifest.
func formatContainer(name string) string {
	image, pullPolicy := podImage()
	return fmt.Sprintf("name: %s, image: %q, imagePullPolicy: %s, env: [{name: WHOAMI_PORT_NUMBER, value: %q}]", name,
		image, pullPolicy, podPort)
}

// fillIn replaces the names of containers in a manifest, such as {web}, by what they have in common.
func fillIn(manifest string, names ...string) string {
	for _, name := range names {
		manifest = strings.ReplaceAll(manifest, "{"+name+"}", formatContainer(name))
	}
	return manifest
}

// podPatience is longer than a pod whose image is there takes to start or to end on a busy computer.
const podPatience = 4 * time.Minute

// within is kubectl's option for a time limit.
func within(limit time.Duration) string { return "--timeout=" + eventually.Patience(limit).String() }

// useMirror writes the settings that have the machines of all clusters pull through the mirror, if there is one.
func (i *installation) useMirror() {
	i.t.Helper()
	mirror := os.Getenv(mirrorVariable)
	if mirror == "" {
		return
	}
	if err := os.MkdirAll(i.dir, 0o700); err != nil {
		i.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(i.dir, "config.yaml"), []byte(mirrorSettings(mirror)), 0o600); err != nil {
		i.t.Fatal(err)
	}
}

// checkMirror checks that the machines of a cluster pull through the mirror, if there is one.
func (i *installation) checkMirror(cluster string) {
	i.t.Helper()
	mirror := os.Getenv(mirrorVariable)
	for _, m := range i.cluster(cluster).Status.Machines {
		file, err := i.onHost(m.Name, "cat", "/etc/rancher/rke2/registries.yaml")
		if used := err == nil && strings.Contains(file, mirror); mirror != "" && !used {
			i.t.Errorf("%s does not use the mirror %s: %v\n%s", m.Name, mirror, err, file)
		}
	}
}

// mirrorSettings are the settings that name a mirror of Docker Hub.
func mirrorSettings(mirror string) string {
	return fmt.Sprintf("rke2:\n  registries:\n  - {host: docker.io, mirrors: [%q]}\n", mirror)
}

func TestMirrorSettingsReachNewClusters(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(mirrorSettings("http://10.1.2.3:5000")),
		0o600); err != nil {
		t.Fatal(err)
	}
	env := func(name string) string { return map[string]string{"SKYCONF_DIR": dir, "HOME": dir}[name] }
	settings, err := config.Load(pflag.NewFlagSet("", pflag.ContinueOnError), env)
	if err != nil {
		t.Fatal(err)
	}
	var spec api.ClusterSpec
	settings.ApplyToCluster(&spec)
	if r := spec.RKE2.Registries; len(r) != 1 || r[0].Host != "docker.io" ||
		!slices.Equal(r[0].Mirrors, []string{"http://10.1.2.3:5000"}) {
		t.Errorf("the registries are %+v", r)
	}
}
