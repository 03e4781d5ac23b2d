package kubeconfig

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/personalfile"
	"github.com/sky-shift/skyctl/test/needs"
)

// home is a person's home with a directory of skyctl.
type home struct {
	t   *testing.T
	dir string
	env map[string]string
}

func newHome(t *testing.T) *home {
	t.Helper()
	dir := t.TempDir()
	return &home{t: t, dir: dir, env: map[string]string{"HOME": dir}}
}

func (h *home) path(names ...string) string {
	return filepath.Join(append([]string{h.dir}, names...)...)
}

func (h *home) write(text []byte, mode os.FileMode, names ...string) string {
	h.t.Helper()
	path := h.path(names...)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(path, text, mode), os.Chmod(path, mode)); err != nil {
		h.t.Fatal(err)
	}
	return path
}

func (h *home) read(path string) []byte {
	h.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		h.t.Fatal(err)
	}
	return text
}

func (h *home) clusterDir(cluster string) string { return h.path(".skyconf", "clusters", cluster) }

func (h *home) person() Person {
	h.t.Helper()
	p, err := FindPerson(func(k string) string { return h.env[k] }, false, h.path(".skyconf", "clusters"))
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

func (h *home) merge(cluster string, generation int) Merged {
	h.t.Helper()
	done, err := h.person().Merge(h.t.Context(), h.clusterDir(cluster),
		newEntries(h.t, cluster, "uid-"+cluster, generation))
	if err != nil {
		h.t.Fatal(err)
	}
	return done
}

func (h *home) use(cluster string) Merged {
	h.t.Helper()
	done, err := h.person().Use(h.t.Context(), h.clusterDir(cluster), newEntries(h.t, cluster, "uid-"+cluster, 1))
	if err != nil {
		h.t.Fatal(err)
	}
	return done
}

func (h *home) remove(cluster string) {
	h.t.Helper()
	if err := RemoveMerged(h.t.Context(), h.clusterDir(cluster), cluster); err != nil {
		h.t.Fatal(err)
	}
}

// load is what kubectl sees.
func (h *home) load() *clientcmdapi.Config {
	h.t.Helper()
	rules := &clientcmd.ClientConfigLoadingRules{Precedence: h.person().Files}
	c, err := rules.Load()
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// requireOnly fails if a directory holds other files.
func (h *home) requireOnly(dir string, names ...string) {
	h.t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		h.t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		found = append(found, e.Name())
	}
	if got := strings.Join(found, " "); got != strings.Join(names, " ") {
		h.t.Errorf("%s holds %s, want %s", dir, got, names)
	}
}

func TestHomeIsCleanAfterTheClustersAreGone(t *testing.T) {
	for name, text := range realShapes(t) {
		h := newHome(t)
		path := h.write(text, 0o640, ".kube", "config")
		settings := []byte("# of Ann\nkubernetes:\n  ports: ingress\n")
		sky := h.write(settings, 0o600, ".sky", "config.yaml")
		h.merge("dev", 1)
		h.merge("gpu", 1)
		h.use("gpu")
		h.use("dev")
		if c := h.load(); c.CurrentContext != "skyctl-dev" || c.Contexts["skyctl-gpu"] == nil {
			t.Errorf("%s: kubectl sees %+v", name, c)
		}
		if got := h.read(path + personalfile.BackupSuffix); !bytes.Equal(got, text) {
			t.Errorf("%s: the backup is %s", name, got)
		}
		h.remove("gpu")
		h.remove("dev")
		if got := h.read(path); !bytes.Equal(got, text) {
			t.Errorf("%s: left is\n%s\nwas\n%s", name, got, text)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
		if got := h.read(sky); !bytes.Equal(got, settings) {
			t.Errorf("%s: SkyPilot's settings are %s", name, got)
		}
		h.requireOnly(h.path(".kube"), "config")
		h.requireOnly(h.path(".sky"), "config.yaml", "locks")
		h.requireOnly(h.clusterDir("dev"))
	}
}

func TestHomeWithoutKubeconfigGetsOneAndLosesIt(t *testing.T) {
	h := newHome(t)
	if done := h.merge("dev", 1); !done.Current || done.Path != h.path(".kube", "config") || done.OpenToOthers {
		t.Errorf("merged: %+v", done)
	}
	h.merge("gpu", 1)
	if c := h.load(); c.CurrentContext != "skyctl-dev" || len(c.Contexts) != 2 {
		t.Errorf("kubectl sees %+v", c)
	}
	h.remove("dev")
	h.remove("gpu")
	h.requireOnly(h.path(".kube"))
}

func TestSeveralFilesAreUsedAsKubectlDoes(t *testing.T) {
	h := newHome(t)
	shapes := realShapes(t)
	kind := h.write(shapes["kind"], 0o600, "kind.yaml")
	gke := h.write(shapes["gke"], 0o600, "gke.yaml")
	own := h.clusterDir("dev") + "/kubeconfig"
	h.env["KUBECONFIG"] = strings.Join([]string{h.path("none"), "", own, kind, gke}, ":")
	if p := h.person(); len(p.Ignored) != 1 || p.DefaultFile() != kind {
		t.Errorf("the files are %+v", p)
	}
	h.merge("dev", 1)
	h.env["KUBECONFIG"] = gke + ":" + kind
	if done := h.merge("dev", 2); done.Path != kind { // where the entries are
		t.Errorf("the second merge wrote %s", done.Path)
	}
	h.use("dev")
	if c := h.load(); c.CurrentContext != "skyctl-dev" || c.Clusters["skyctl-dev"].LocationOfOrigin != kind {
		t.Errorf("kubectl sees %+v", c)
	}
	h.remove("dev")
	for path, text := range map[string][]byte{kind: shapes["kind"], gke: shapes["gke"]} {
		if got := h.read(path); !bytes.Equal(got, text) {
			t.Errorf("left in %s is %s", path, got)
		}
	}
	h.requireOnly(h.dir, ".skyconf", "gke.yaml", "kind.yaml")
	h.env["KUBECONFIG"] = h.path("a") + ":" + h.path("b")
	if p := h.person(); p.DefaultFile() != h.path("b") {
		t.Errorf("of files that do not exist, %s is written", p.DefaultFile())
	}
}

func TestLinksArePreserved(t *testing.T) {
	h := newHome(t)
	text := realShapes(t)["kind"]
	target := h.write(text, 0o600, "dotfiles", "kube")
	if err := errors.Join(os.MkdirAll(h.path(".kube"), 0o700),
		os.Symlink("../dotfiles/kube", h.path(".kube", "config"))); err != nil {
		t.Fatal(err)
	}
	h.merge("dev", 1)
	if link, err := os.Readlink(h.path(".kube", "config")); err != nil || link != "../dotfiles/kube" {
		t.Errorf("the link is %q, %v", link, err)
	}
	if !HasEntries(h.read(target)) {
		t.Error("the target has no entries")
	}
	h.remove("dev")
	if got := h.read(target); !bytes.Equal(got, text) {
		t.Errorf("left is %s", got)
	}
}

func TestWritersAtOnceLoseNothing(t *testing.T) {
	h := newHome(t)
	path := h.write(realShapes(t)["comments"], 0o600, ".kube", "config")
	const each = 4
	var all sync.WaitGroup
	for i := range each {
		name := fmt.Sprintf("c%d", i)
		all.Go(func() { h.merge(name, 1) })
		all.Go(func() { addAsKubectl(t, path, "kubectl-"+name) })
	}
	all.Wait()
	c := h.load()
	for i := range each {
		if name := fmt.Sprintf("skyctl-c%d", i); c.Contexts[name] == nil || c.Clusters[name] == nil {
			t.Errorf("%s is missing", name)
		}
		if name := fmt.Sprintf("kubectl-c%d", i); c.Contexts[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	if c.Contexts["prod"] == nil || c.Contexts["staging"].Namespace != "web" {
		t.Error("the person's contexts are missing")
	}
	h.requireOnly(h.path(".kube"), "config", "config"+personalfile.BackupSuffix)
}

// addAsKubectl adds a context with kubectl's code, under kubectl's lock.
func addAsKubectl(t *testing.T, path, name string) {
	var lock *os.File
	err := await.Success(t.Context(), 10*time.Millisecond, func() (err error) {
		lock, err = os.OpenFile(path+".lock", os.O_CREATE|os.O_EXCL, 0)
		return err
	})
	if err != nil {
		t.Error(err)
		return
	}
	c, err := clientcmd.LoadFromFile(path)
	if err == nil {
		c.Contexts[name] = &clientcmdapi.Context{Cluster: "prod", AuthInfo: "ann"}
		err = clientcmd.WriteToFile(*c, path)
	}
	if err := errors.Join(err, lock.Close(), os.Remove(lock.Name())); err != nil {
		t.Error(err)
	}
}

func TestOutdatedEntriesAreRenewed(t *testing.T) {
	h := newHome(t)
	text := realShapes(t)["comments"]
	path := h.write(text, 0o600, ".kube", "config")
	dir := h.clusterDir("dev")
	renew := func(uid string, generation int) error {
		return Refresh(t.Context(), dir, "dev", uid, newKubeconfig("dev", generation))
	}
	if err := renew("uid-dev", 2); err != nil {
		t.Errorf("a cluster that is not merged: %v", err)
	}
	h.merge("dev", 1)
	if err := errors.Join(renew("uid-dev", 2), renew("uid-of-another", 3)); err != nil {
		t.Errorf("the renewal ended with %v", err)
	}
	if c := h.load(); c.Clusters["skyctl-dev"].Server != "https://10.0.0.2:6443" {
		t.Errorf("kubectl sees %+v", c.Clusters["skyctl-dev"])
	}
	// What the person has removed does not come back.
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := renew("uid-dev", 2); err != nil || !bytes.Equal(h.read(path), text) {
		t.Errorf("removed entries came back: %v", err)
	}
}

func TestWantedMergeHappensWithTheFirstCredentials(t *testing.T) {
	h := newHome(t)
	h.write(realShapes(t)["kind"], 0o600, ".kube", "config")
	dir := h.clusterDir("dev")
	if err := h.person().WantMerge(t.Context(), dir, "uid-dev"); err != nil {
		t.Fatal(err)
	}
	if err := Refresh(t.Context(), dir, "dev", "uid-dev", newKubeconfig("dev", 1)); err != nil {
		t.Errorf("the merge ended with %v", err)
	}
	if c := h.load(); c.Contexts["skyctl-dev"] == nil || c.CurrentContext != "kind-kind" {
		t.Errorf("kubectl sees %+v", c)
	}
}

func TestNameOfAFormerClusterIsTakenOver(t *testing.T) {
	h := newHome(t)
	text := realShapes(t)["kind"]
	path := h.write(text, 0o600, ".kube", "config")
	h.merge("dev", 1)
	next := newEntries(t, "dev", "uid-next", 2)
	if _, err := h.person().Merge(t.Context(), h.clusterDir("dev"), next); err != nil {
		t.Fatal(err)
	}
	h.remove("dev")
	if got := h.read(path); !bytes.Equal(got, text) {
		t.Errorf("left is %s", got)
	}
}

func TestFileThatCannotBeChangedStays(t *testing.T) {
	h := newHome(t)
	text := []byte("a: 1\n---\nb: 2\n")
	path := h.write(text, 0o600, ".kube", "config")
	_, err := h.person().Merge(t.Context(), h.clusterDir("dev"), newEntries(t, "dev", "uid-dev", 1))
	if err == nil || !strings.Contains(err.Error(), path) || !bytes.Equal(h.read(path), text) {
		t.Errorf("the merge ended with %v", err)
	}
	h.requireOnly(h.path(".kube"), "config")
}

func TestSkyPilotKeepsAContextThatAnotherInstallationHas(t *testing.T) {
	h := newHome(t)
	h.write(realShapes(t)["kind"], 0o600, ".kube", "config")
	settings := h.write(nil, 0o600, ".sky", "config.yaml")
	theirs := h.path(".other", "clusters", "dev")
	if _, err := h.person().Merge(t.Context(), theirs, newEntriesOfOtherAuthority(t, "uid-theirs")); err != nil {
		t.Fatal(err)
	}
	before := h.read(settings)
	if _, err := h.person().Merge(t.Context(), h.clusterDir("dev"), newEntries(t, "dev", "uid-dev", 1)); err == nil {
		t.Fatal("merged over the cluster of another installation")
	}
	h.remove("dev")
	if got := h.read(settings); !bytes.Equal(got, before) || !bytes.Contains(got, []byte("skyctl-dev")) {
		t.Errorf("SkyPilot's settings are %q, before %q", got, before)
	}
}

func TestServerLeavesFilesOfOtherUsersToTheirCommands(t *testing.T) {
	needs.Root(t) // it gives files away
	h := newHome(t)
	text := realShapes(t)["kind"]
	path := h.write(text, 0o600, ".kube", "config")
	h.merge("dev", 1)
	merged := h.read(path)
	if err := os.Chown(path, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	dir := h.clusterDir("dev")
	wanted := Person{Files: []string{path}}
	if err := errors.Join(RemoveOwnMerged(t.Context(), dir, "dev"),
		wanted.WantMerge(t.Context(), dir, "uid-dev"),
		Refresh(t.Context(), dir, "dev", "uid-dev", newKubeconfig("dev", 2))); err != nil {
		t.Fatal(err)
	}
	if got := h.read(path); !bytes.Equal(got, merged) || !IsMerged(dir, "uid-dev") {
		t.Errorf("skyd as root changed the file of somebody else, or forgot it: %s", got)
	}
	h.remove("dev") // a command that root runs for a person
	if got := h.read(path); !bytes.Equal(got, text) || IsMerged(dir, "uid-dev") {
		t.Errorf("left is %s", got)
	}
}
