package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/kubeconfig"
)

func TestTruncatedKubeconfigIsRepairedAndOtherEntriesStay(t *testing.T) {
	w := newWorld(t)
	ref := w.create("filed", 1, client.CreateOptions{})
	w.awaitReady(ref)
	path := filepath.Join(w.home, "filed", "kubeconfig")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	edit := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	merged := mergeOutdated(t, w, ref, whole)
	edit(string(whole[:len(whole)-100]))
	lastRepair(t, w.repair(ref), api.ActionWriteKubeconfig, "")
	requireRenewed(t, merged, whole)
	if got, err := os.ReadFile(path); err != nil || string(got) != string(whole) {
		t.Errorf("got\n%s\n%v", got, err)
	}
	mine := strings.Replace(string(whole), "current-context: filed", "current-context: mine", 1)
	mine = strings.Replace(mine, "contexts:\n",
		"contexts:\n- context:\n    cluster: filed\n    user: filed\n    namespace: web\n  name: mine\n", 1)
	edit(mine)
	w.healthy(ref, 1) // additions by a user are not drift
	if _, err := w.store.UpdateCluster(t.Context(), ref,
		func(c *api.Cluster) error { c.Status.Repairs = nil; return nil }); err != nil {
		t.Fatal(err)
	}
	edit(strings.Replace(mine, "certificate-authority-data: ", "certificate-authority-data: QQ", 1))
	w.repair(ref)
	got, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(got), "current-context: mine") ||
		!strings.Contains(string(got), "namespace: web") || strings.Contains(string(got), "data: QQ") {
		t.Errorf("got\n%s\n%v", got, err)
	}
	w.healthy(ref, 1)
	w.delete(ref, false)
	w.awaitGone(ref)
	if left, err := os.ReadFile(merged); err != nil || string(left) != "# of Ann\n" {
		t.Errorf("the person's kubeconfig is %q, %v", left, err)
	}
}

// mergeOutdated merges a cluster into a person's kubeconfig, with an authority that is not the cluster's.
func mergeOutdated(t *testing.T, w *world, ref api.Ref, own []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte("# of Ann\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	old := strings.Replace(string(own), "certificate-authority-data: ", "certificate-authority-data: QQ", 1)
	entries, err := kubeconfig.NewEntries(ref.Name, ref.UID, []byte(old))
	if err == nil {
		_, err = kubeconfig.Person{Files: []string{path}}.Merge(t.Context(), filepath.Join(w.home, ref.Name), entries)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// requireRenewed fails unless a person's kubeconfig has the authority of the cluster's own.
func requireRenewed(t *testing.T, path string, own []byte) {
	t.Helper()
	_, rest, _ := strings.Cut(string(own), "certificate-authority-data: ")
	authority, _, _ := strings.Cut(rest, "\n")
	text, err := os.ReadFile(path)
	if err != nil || authority == "" || !strings.Contains(string(text), "certificate-authority-data: "+authority+"\n") {
		t.Errorf("the person's kubeconfig is %s, %v", text, err)
	}
}
