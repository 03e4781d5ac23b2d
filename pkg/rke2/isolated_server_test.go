package rke2

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

var isolated = IsolatedServer{NodeName: "snapshot-check", NodeIP: "10.0.0.9", Token: "K10ab::server:sesame"}

func TestIsolatedServerRunsNoController(t *testing.T) {
	text, err := renderIsolatedConfig(isolated, Facts{CgroupV1: true, Release: "v1.35.7+rke2r1"})
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"disable-controller-manager", "disable-scheduler", "disable-kube-proxy",
		"disable-cloud-controller", "etcd-disable-snapshots"} {
		if on, _ := config[key].(bool); !on {
			t.Errorf("%s is %v", key, config[key])
		}
	}
	if config["cni"] != "none" || config["token"] != isolated.Token || config["node-name"] != isolated.NodeName {
		t.Errorf("got %v", config)
	}
	if args := fmt.Sprint(config["kubelet-arg"]); args != "["+failCgroupV1Off+"]" {
		t.Errorf("the kubelet's arguments are %s", args)
	}
	if _, err := renderIsolatedConfig(IsolatedServer{NodeName: "x", NodeIP: "10.0.0.9"}, Facts{}); err == nil {
		t.Error("a server without a token is accepted")
	}
}

// writeRKE2 installs a program rke2 that fails with a line, or succeeds without one. It records its arguments.
func writeRKE2(m *machine, line string) {
	m.t.Helper()
	script := "#!/bin/sh\necho \"$@\" >/run/systemd/system/arguments\n" +
		"grep -q sesame /etc/rancher/rke2/config.yaml || echo no token\n"
	if line != "" {
		script += "echo 'level=fatal msg=\"" + line + "\"'; exit 1\n"
	}
	m.RunShell("mkdir -p /opt/rke2/bin /var/lib/rancher")
	m.Write("/opt/rke2/bin/rke2", script, 0o755)
	m.Write(IsolatedSnapshotFile, "state", 0o600)
}

func TestIsolatedServerIsRestoredAndStarted(t *testing.T) {
	m := newMachine(t)
	writeRKE2(m, "")
	if err := RestoreIsolated(t.Context(), m.Host, isolated); err != nil {
		t.Fatal(err)
	}
	if got := m.RunShell("cat /run/systemd/system/arguments"); strings.TrimSpace(got) !=
		"server --cluster-reset --cluster-reset-restore-path="+IsolatedSnapshotFile {
		t.Errorf("it was called with %q", got)
	}
	if got := m.RunShell("cat /run/systemd/system/calls"); !strings.Contains(got, "start --no-block rke2-server") {
		t.Errorf("units: %q", got)
	}
	if got := m.RunShell("ls " + filepath.Dir(IsolatedSnapshotFile)); got != "" {
		t.Errorf("the snapshot is left: %q", got)
	}
}

func TestRefusedSnapshotIsToldFromABrokenMachine(t *testing.T) {
	for line, want := range map[string]string{
		"Error: start managed database: exit status 1: expected sha256 [1 2], got [3 4]":   SnapshotRefused,
		"Error: bootstrap data already found and encrypted with different token":           SnapshotRefused,
		"Error: start managed database: snapshot missing hash but --skip-hash-check=false": SnapshotRefused,
		"Error: failed to start containerd: no space left on device":                       InstallFailed,
	} {
		m := newMachine(t)
		writeRKE2(m, line)
		err := RestoreIsolated(t.Context(), m.Host, isolated)
		var e *Error
		if !errors.As(err, &e) || e.Kind != want || !e.Permanent || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: got %v", line, err)
		}
		if got := m.RunShell("cat /run/systemd/system/calls 2>/dev/null || true"); strings.Contains(got, "start") {
			t.Errorf("%s: the server is started: %s", line, got)
		}
	}
}

func TestOfflineInstallationNeedsNoNetworkOnTheMachine(t *testing.T) {
	m := newMachine(t)
	dir, a := writeRelease(t, version)
	images := imageArchives("amd64")[1]
	content := "images of the control plane"
	write(t, filepath.Join(dir, images), content)
	for _, arch := range releaseArchitectures {
		sums := sumOf(content) + "  " + strings.ReplaceAll(images, "amd64", arch) + "\n"
		write(t, filepath.Join(dir, checksumsName(arch)), sums)
		write(t, filepath.Join(dir, imageArchives(arch)[1]), content)
	}
	a.Source = mirror(t, func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(dir, filepath.Base(r.URL.Path)))
	})
	m.InstallProgram("curl", "#!/bin/sh\nexit 7\n")
	if err := InstallOffline(t.Context(), m.Host, a, nil); err != nil {
		t.Fatal(err)
	}
	if got := m.RunShell("/opt/rke2/bin/rke2 --version; cat " + imagesDir + "/*"); !strings.Contains(got, version) ||
		!strings.Contains(got, content) {
		t.Errorf("got %q", got)
	}
	for _, arch := range releaseArchitectures {
		write(t, filepath.Join(dir, imageArchives(arch)[1]), "other")
	}
	if err := InstallOffline(t.Context(), m.Host, a, nil); kindOf(err) != ChecksumMismatch {
		t.Errorf("damaged images: got %v", err)
	}
}
