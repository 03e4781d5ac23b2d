package e2e

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

// archivedImage is an image that only an archive has.
const archivedImage = "registry.example.com/archived/skyctl:1"

// writeImageArchive writes an archive, as docker save does, with an image that consists of one program.
func writeImageArchive(t *testing.T, program, target string) {
	t.Helper()
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	layer := newTar(t, map[string][]byte{"program": content})
	config, err := json.Marshal(map[string]any{"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": []string{"/program", "version"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digestOf(layer)}}})
	if err != nil {
		t.Fatal(err)
	}
	index, err := json.Marshal([]map[string]any{{"Config": "config.json", "Layers": []string{"layer.tar"},
		"RepoTags": []string{archivedImage}}})
	if err != nil {
		t.Fatal(err)
	}
	archive := newTar(t, map[string][]byte{"config.json": config, "layer.tar": layer, "manifest.json": index})
	if err := os.WriteFile(target, archive, 0o600); err != nil {
		t.Fatal(err)
	}
}

func newTar(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, content := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// certificateExample is the certificate that the declaration of the field shows.
func certificateExample() string {
	for _, f := range api.FileFields() {
		if f.Path == "spec.rke2.registries.ca" {
			return f.Example
		}
	}
	return ""
}

// fittedFile is a cluster with settings of RKE2, whose image archive is at a path of this computer.
func fittedFile(archive string) string {
	ca := strings.ReplaceAll(certificateExample(), "\n", "\n        ")
	return fmt.Sprintf(`apiVersion: skyctl.sky-shift.org/v1
kind: Cluster
metadata: {name: fitted}
spec:
  cloud: docker
  ingress: none
  enable_servicelb: true
  rke2:
    config:
      kubelet-arg: [max-pods=77]
      tls-san: [api.example.com]
    registries:
    - host: registry.example.com
      ca: |
        %s
    images:
    - path: %s
  control_plane: {machine: {cpus: 2+, memory: "4"}}
  pools:
  - {name: default, replicas: 1, machine: {cpus: 1+, memory: "1"}}
`, ca, archive)
}

func settingsReachMachines(i *installation) {
	for _, m := range i.cluster("fitted").Status.Machines {
		if pods := i.kubectl("fitted", "get", "node", m.NodeName, "-o",
			"jsonpath={.status.allocatable.pods}"); pods != "77" {
			i.t.Errorf("%s takes %s pods", m.Name, pods)
		}
		registries, err := i.onHost(m.Name, "cat", "/etc/rancher/rke2/registries.yaml")
		if err != nil || !strings.Contains(registries,
			"ca_file: /etc/rancher/rke2/skyctl-registry-ca/registry.example.com.crt") {
			i.t.Errorf("%s has the registries\n%s%v", m.Name, registries, err)
		}
		log, err := i.onHost(m.Name, "journalctl", "--no-pager", "-u", "rke2-server", "-u", "rke2-agent")
		if err != nil || strings.Contains(log, "Unknown flag") {
			i.t.Errorf("RKE2 on %s does not know a key: %v\n%s", m.Name, err, log)
		}
		pod := "archived-" + m.Name
		i.kubectl("fitted", "run", pod, "--image="+archivedImage, "--image-pull-policy=Never", "--restart=Never",
			fmt.Sprintf(`--overrides={"spec":{"nodeName":%q}}`, m.NodeName))
		i.kubectl("fitted", "wait", "--for=jsonpath={.status.phase}=Succeeded", within(podPatience), "pod/"+pod)
	}
	config, err := i.onHost("sky-fitted-0", "cat", "/etc/rancher/rke2/config.yaml")
	for _, want := range []string{"ingress-controller: none\n", "enable-servicelb: true\n", "- api.example.com\n"} {
		if err != nil || !strings.Contains(config, want) {
			i.t.Errorf("the server's configuration lacks %q:\n%s%v", want, config, err)
		}
	}
}
