package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/config"
)

const annsKubeconfig = "# Ann's\napiVersion: v1\nkind: Config\ncurrent-context: 'kind-kind' # mine\nclusters: []\n" +
	"contexts:\n- {name: kind-kind, context: {cluster: kind-kind, user: kind-kind}}\n"

// newAnn returns a user with a home, a kubeconfig and SkyPilot.
func newAnn(t *testing.T) (p *testUser, kubeconfigPath string) {
	t.Helper()
	p = newExternalUser(t)
	p.env["SKYCTL_SECRETS_KEY_FILE"] = world.Config.SecretsKeyFile
	home := t.TempDir()
	p.env["HOME"] = home
	for _, dir := range []string{".kube", ".sky", "bin"} {
		if err := os.Mkdir(filepath.Join(home, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(home, ".kube", "config")
	if err := os.WriteFile(path, []byte(annsKubeconfig), 0o644); err != nil {
		t.Fatal(err)
	}
	p.env["PATH"] = filepath.Join(home, "bin")
	return p, path
}

func requireFile(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s holds %q, %v; want %q", path, got, err, want)
	}
}

func requireAll(t *testing.T, text string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
}

func TestClusterIsMergedUsedAndRemovedFromTheKubeconfig(t *testing.T) {
	world.StartWorker(t)
	p, path := newAnn(t)
	got := p.run(createArgs("merged", "--wait", "--merge")...)
	requireAll(t, got.err, "Merged it into "+path+". Use it with: kubectl --context skyctl-merged\n",
		"Note: other users can read "+path+". To change that: chmod 600 "+path,
		"Note: SkyPilot uses these contexts (kubernetes.allowed_contexts in its settings): kind-kind, skyctl-merged.\n",
		"Run work on it with SkyPilot: sky launch --infra k8s/skyctl-merged -- hostname\n")
	p.run("get", "kubeconfig", "merged", "--merge").check(t, 0,
		"Merged cluster merged into "+path+" as context skyctl-merged.\n", "Note: other users can read "+path+
			". To change that: chmod 600 "+path+
			"\nNote: SkyPilot uses these contexts (kubernetes.allowed_contexts in its settings): kind-kind, "+
			"skyctl-merged."+
			"\nRun work on it with SkyPilot: sky launch --infra k8s/skyctl-merged -- hostname\n")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	requireAll(t, string(text), "# Ann's\n", "current-context: 'kind-kind' # mine\n", "server: https://10.0.0.1:6443\n")
	if got := p.run("use", "merged"); got.code != 0 ||
		got.out != "The current context is skyctl-merged ("+path+").\n" {
		t.Errorf("exit %d: %q %q", got.code, got.out, got.err)
	}
	if text, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	requireAll(t, string(text), "current-context: 'skyctl-merged' # mine\n", "previous-context: kind-kind\n")

	if gone := p.run("delete", "cluster", "merged", "--yes", "--wait"); gone.code != 0 {
		t.Errorf("exit %d: %q %q", gone.code, gone.out, gone.err)
	}
	requireFile(t, path, annsKubeconfig)
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("left are %v, %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(p.env["HOME"], ".sky", "config.yaml")); err == nil {
		t.Error("SkyPilot's settings are left")
	}
}

func TestMergeSaysWhatSkyPilotStillNeeds(t *testing.T) {
	world.StartWorker(t)
	p, path := newAnn(t)
	dir := filepath.Join(p.env["HOME"], ".sky")
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	const notFound = "Note: SkyPilot is not set up here: there is neither sky on $PATH nor ~/.sky."
	got := p.run(createArgs("worked", "--wait", "--merge")...)
	requireAll(t, got.err, "Merged it into "+path,
		"\nRun work on it with SkyPilot: skyctl use worked && sky launch --infra k8s/skyctl-worked -- hostname\n",
		notFound)
	if _, err := os.Stat(dir); err == nil {
		t.Error("settings were made for a program that is not there")
	}
	requireAll(t, p.run("use", "worked").err,
		"\nRun work on it with SkyPilot: sky launch --infra k8s/skyctl-worked -- hostname\n", notFound)

	p.env["SKYPILOT_API_SERVER_ENDPOINT"] = "https://sky.example.org"
	got = p.run("get", "kubeconfig", "worked", "--merge")
	requireAll(t, got.err, "\nRun work on it with SkyPilot: sky launch --infra k8s/skyctl-worked -- hostname\n",
		"Note: SkyPilot's API server is elsewhere")
	delete(p.env, "SKYPILOT_API_SERVER_ENDPOINT")

	sky := filepath.Join(p.env["HOME"], "bin", "sky")
	if err := os.WriteFile(sky, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(annsKubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	requireAll(t, p.run("get", "kubeconfig", "worked", "--merge").err,
		"Note: SkyPilot uses these contexts (kubernetes.allowed_contexts in its settings): kind-kind, skyctl-worked."+
			"\nRun work on it with SkyPilot: sky launch --infra k8s/skyctl-worked -- hostname\n")
	settings := filepath.Join(dir, "config.yaml")
	requireFile(t, settings, "kubernetes:\n  allowed_contexts:\n    - kind-kind\n    - skyctl-worked\n")

	elsewhere := "api_server: {endpoint: 'https://sky.example.org'}\n"
	if err := os.WriteFile(settings, []byte(elsewhere), 0o600); err != nil {
		t.Fatal(err)
	}
	requireAll(t, p.run("get", "kubeconfig", "worked", "--merge").err, "Note: SkyPilot's API server is elsewhere")
	requireFile(t, settings, elsewhere)
}

func TestSettingMergesEachNewCluster(t *testing.T) {
	world.StartWorker(t)
	p, path := newAnn(t)
	p.env["SKYCTL_KUBECONFIG_MERGE"] = "true"
	requireAll(t, p.run(createArgs("merges", "--wait")...).err, "Merged it into "+path)
	requireAll(t, p.run(createArgs("later")...).err, "skyctl get kubeconfig later --merge")
	delete(p.env, "SKYCTL_KUBECONFIG_MERGE")
	requireAll(t, p.run(createArgs("alone", "--wait")...).err, "Use it with: export KUBECONFIG=",
		"Run work on it with SkyPilot: skyctl use alone && sky launch --infra k8s/skyctl-alone -- hostname\n")
}

func TestKubeconfigOfAPersonThatCannotBeChangedStays(t *testing.T) {
	world.StartWorker(t)
	p, path := newAnn(t)
	p.run(createArgs("kept", "--wait")...)
	if err := os.WriteFile(path, []byte("a: 1\n---\nb: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := p.run("use", "kept")
	if got.code != ExitFailed || got.out != "" {
		t.Errorf("exit %d, out %q", got.code, got.out)
	}
	requireAll(t, got.err, path+": it has several documents (separated by ---); skyctl kubectl kept works without it")
	requireFile(t, path, "a: 1\n---\nb: 1\n")
	// The shell's kubeconfig is skyctl's own: kubectl does not read the changed one.
	p.env["KUBECONFIG"] = filepath.Join(p.env[config.EnvDir], "clusters", "kept", "kubeconfig")
	if err := os.WriteFile(path, []byte(annsKubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	requireAll(t, p.run("use", "kept").err, "Note: $KUBECONFIG names "+p.env["KUBECONFIG"], "unset KUBECONFIG")
}

func TestKubectlRunsWithTheClustersKubeconfig(t *testing.T) {
	world.StartWorker(t)
	p, path := newAnn(t)
	p.run(createArgs("reached", "--wait")...)
	requireAll(t, p.run("kubectl", "reached", "--", "get", "nodes").err, "there is no kubectl on $PATH")
	script := "#!/bin/sh\necho \"$KUBECONFIG\" \"$@\"\nread line\necho \"$line\" >&2\nexit 7\n"
	if err := os.WriteFile(filepath.Join(p.env["HOME"], "bin", "kubectl"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	p.in = "input\n"
	own := filepath.Join(p.env[config.EnvDir], "clusters", "reached", "kubeconfig")
	p.run("kubectl", "reached", "--", "get", "nodes", "-A").check(t, 7, own+" get nodes -A\n", "input\n")
	requireFile(t, path, annsKubeconfig)
	p.run(createArgs("second", "--wait")...)
	if got := p.run("kubectl", "--", "get", "nodes"); got.code != ExitUsage {
		t.Errorf("exit %d: %q", got.code, got.err)
	}
	p.run("use", "reached")
	p.run("kubectl", "--", "version").check(t, 7, own+" version\n", "input\n")
	merged, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	others := regexp.MustCompile(`uid: \S+`).ReplaceAll(merged, []byte("uid: of-another-installation"))
	if err := os.WriteFile(path, others, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := p.run("kubectl", "--", "version"); got.code != ExitUsage {
		t.Errorf("a cluster of that name of another installation is current: exit %d: %q", got.code, got.err)
	}
	for _, args := range [][]string{{"kubectl", "get", "nodes"}, {"kubectl", "a", "b", "--", "get"}} {
		if got := p.run(args...); got.code != ExitUsage || got.out != "" {
			t.Errorf("%v: exit %d, %q", args, got.code, got.err)
		}
	}
	if got := p.run("kubectl", "absent", "--", "get"); got.code != ExitNotFound {
		t.Errorf("exit %d: %q", got.code, got.err)
	}
}
