package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/test/eventually"
)

// registryCA is the certificate that the declaration of the field shows.
func registryCA(t *testing.T) string {
	t.Helper()
	for _, f := range api.FileFields() {
		if f.Path == "spec.rke2.registries.ca" {
			return f.Example
		}
	}
	t.Fatal("no such field")
	return ""
}

func TestSettingsOfRKE2ReachEveryMachine(t *testing.T) {
	w := newWorld(t)
	archive := filepath.Join(t.TempDir(), "own-images.tar")
	if err := os.WriteFile(archive, []byte("images of mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	fresh := api.NewCluster("fitted", "uid-fitted", spec(2), nil, time.Now().UTC())
	fresh.Spec.RKE2.Registries = []api.Registry{{Host: "registry.example.com:5000", CA: registryCA(t)}}
	fresh.Spec.RKE2.Config = map[string]api.ConfigValue{"kubelet-arg": {"max-pods=200"},
		"kube-apiserver-arg": {"audit-log-maxage=30"}, "tls-san": {"api.example.com"}}
	fresh.Spec.RKE2.Images = []api.ImageArchive{{Path: archive}}
	fresh.Spec.Network.CNI, fresh.Spec.EnableServiceLB = "cilium", new(true)
	fresh.SetDefaults()
	if _, err := w.store.CreateCluster(t.Context(), fresh); err != nil {
		t.Fatal(err)
	}
	ref := w.create("fitted", 2, client.CreateOptions{})
	c := w.awaitReady(ref)
	if got := c.Status.Artifacts; len(got.Images) != 1 || got.Images[0].From != archive || got.Ingress == "" {
		t.Errorf("pinned are %+v", got)
	}
	const config, ca = "/etc/rancher/rke2/config.yaml",
		"/etc/rancher/rke2/skyctl-registry-ca/registry.example.com_5000.crt"
	w.checkMachineFile("sky-fitted-0", config, "- max-pods=200\n", "kube-apiserver-arg: audit-log-maxage=30\n",
		"- api.example.com\n", "cni: cilium\n", "enable-servicelb: true\n",
		"ingress-controller: "+c.Status.Artifacts.Ingress+"\n")
	w.checkMachineFile("sky-fitted-1", config, "- max-pods=200\n")
	if text, _, _ := w.cloud.ReadMachineFile("sky-fitted-1", config); strings.Contains(text, "apiserver") {
		t.Errorf("an agent has a key of servers:\n%s", text)
	}
	for _, machine := range []string{"sky-fitted-0", "sky-fitted-1"} {
		w.checkMachineFile(machine, ca, registryCA(t))
		w.checkMachineFile(machine, "/etc/rancher/rke2/registries.yaml", "ca_file: "+ca+"\n")
		images, _, err := w.cloud.ReadMachineFile(machine, "/var/lib/rancher/rke2/agent/images/own-images.tar")
		if err != nil || images != "images of mine" {
			t.Errorf("%s has the images %q: %v", machine, images, err)
		}
	}
	w.delete(ref, false)
	w.awaitGone(ref)
	w.nothingLeft(ref)
}

// The proxy of simulated machines answers nothing: what they asked for is seen on them.
func TestMachinesDownloadThroughTheProxyOfTheSpec(t *testing.T) {
	w := newWorld(t)
	w.writeSecret("proxy", map[string]string{"url": proxyURL + "\n"}, false)
	for name, tt := range map[string]struct {
		rke2 api.RKE2Settings
		asks []string
	}{
		"release": {api.RKE2Settings{RKE2Release: api.RKE2Release{Source: "https://releases.example.com",
			SHA256: strings.Repeat("a", 64)}}, []string{"--head", "rke2.linux-amd64.tar.gz\n"}},
		"archive": {api.RKE2Settings{Images: []api.ImageArchive{{Path: "https://files.example.com/own.tar",
			SHA256: strings.Repeat("a", 64)}}}, []string{" https://files.example.com/own.tar\n"}},
	} {
		fresh := api.NewCluster(name, "uid-"+name, spec(1), nil, time.Now().UTC())
		fresh.Spec.RKE2 = tt.rke2
		fresh.Spec.RKE2.Env = []api.EnvVariable{{Name: "HTTPS_PROXY", Secret: "proxy", Key: "url"}}
		fresh.SetDefaults()
		if _, err := w.store.CreateCluster(t.Context(), fresh); err != nil {
			t.Fatal(err)
		}
		ref := w.create(name, 1, client.CreateOptions{})
		for _, asks := range tt.asks {
			eventually.Holds(t, name+": the proxy is asked for "+asks, func() bool {
				requests, _, _ := w.cloud.ReadMachineFile("sky-"+name+"-0", "/opt/fake/proxied")
				return strings.Contains(requests+"\n", proxyURL+" ") && strings.Contains(requests+"\n", asks)
			})
		}
		w.delete(ref, false)
		w.awaitGone(ref)
	}
}
