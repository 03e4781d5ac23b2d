package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
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
	edit(string(whole[:len(whole)-100]))
	lastRepair(t, w.repair(ref), api.ActionWriteKubeconfig, "")
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
}
