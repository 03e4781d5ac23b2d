package staticpod

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// manifest is what the tests read of a pod.
type manifest struct {
	Metadata struct {
		UID    string
		Labels map[string]string
	}
	Spec struct {
		HostNetwork bool
		Containers  []struct {
			Name      string
			Resources struct{ Requests map[string]string }
		}
	}
}

func write(t *testing.T, dir string, p Pod) (manifest, string) {
	t.Helper()
	if err := p.Write(dir); err != nil {
		t.Fatal(err)
	}
	if !p.IsIn(dir) {
		t.Errorf("%s is not in %s", p.Component, dir)
	}
	data, err := os.ReadFile(filepath.Join(dir, p.Component+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var got manifest
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	return got, p.LogFile()
}

func TestPlaceholdersRequestWhatRKE2Requests(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pod-manifests")
	requests, err := ParseRequests([]string{"etcd-cpu=75m", "other-cpu=1"})
	if err != nil {
		t.Fatal(err)
	}
	for component, want := range map[string]request{APIServer: {"250m", "1024Mi"}, Etcd: {"75m", "512Mi"},
		Scheduler: {"100m", "128Mi"}, ControllerManager: {"200m", "256Mi"}, CloudController: {"100m", "128Mi"},
		KubeProxy: {"250m", "128Mi"}} {
		got, log := write(t, dir, Pod{Component: component, Node: "n1", Image: "pause", Requests: requests,
			Logs: Logs})
		c := got.Spec.Containers[0]
		if (request{c.Resources.Requests["cpu"], c.Resources.Requests["memory"]}) != want {
			t.Errorf("%s requests %v, want %v", component, c.Resources.Requests, want)
		}
		if got.Metadata.Labels["component"] != component || !got.Spec.HostNetwork {
			t.Errorf("%s: %+v", component, got)
		}
		wantLog := "/var/log/pods/kube-system_" + component + "-n1_" + got.Metadata.UID + "/" + component + "/0.log"
		if log != wantLog {
			t.Errorf("log is %s, want %s", log, wantLog)
		}
	}
	if left, _ := filepath.Glob(dir + ".*"); len(left) > 0 {
		t.Errorf("temporary files left: %v", left)
	}
	if _, err := ParseRequests([]string{"etcd-cpu"}); err == nil {
		t.Error("an entry without a value is accepted")
	}
}

// The kubelet takes <number>.log in a container's directory for an earlier run of it.
func TestLogOfAComponentIsNotThatOfItsPlaceholder(t *testing.T) {
	got, log := write(t, t.TempDir(), Pod{Component: Etcd, Node: "n1"})
	if strings.Contains(log, "/"+got.Spec.Containers[0].Name+"/") {
		t.Errorf("both log to %s", log)
	}
}

func TestOtherArgumentsMakeAnotherPod(t *testing.T) {
	dir := t.TempDir()
	first, _ := write(t, dir, Pod{Component: APIServer, Args: []string{"--v=1"}})
	again, _ := write(t, dir, Pod{Component: APIServer, Args: []string{"--v=1"}})
	other, _ := write(t, dir, Pod{Component: APIServer, Args: []string{"--v=2"}})
	if first.Metadata.UID != again.Metadata.UID || first.Metadata.UID == other.Metadata.UID {
		t.Errorf("UIDs are %s, %s and %s", first.Metadata.UID, again.Metadata.UID, other.Metadata.UID)
	}
}

func TestManifestsAreRemoved(t *testing.T) {
	dir := t.TempDir()
	for component := range defaultRequests {
		write(t, dir, Pod{Component: component})
	}
	if err := os.WriteFile(filepath.Join(dir, "own.yaml"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Remove(dir, ControlPlane...); err != nil {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(left) != 2 || filepath.Base(left[0]) != "kube-proxy.yaml" {
		t.Errorf("left: %v", left)
	}
	if err := RemoveOthers(dir); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 1 {
		t.Errorf("an operator's own pod is to stay: %v", left)
	}
}
