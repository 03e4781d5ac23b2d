package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/config"
)

// newUserWithoutServers returns a user with an empty state directory, and that directory.
func newUserWithoutServers(t *testing.T) (*testUser, string) {
	dir := t.TempDir()
	return &testUser{t: t, env: map[string]string{config.EnvDir: dir, "HOME": t.TempDir()}}, dir
}

func TestConfigSetKeepsTheFileAndSaysWhatOverrides(t *testing.T) {
	p, dir := newUserWithoutServers(t)
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, []byte("# mine\nrke2:\n  cni: canal # why\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p.env["SKYCTL_RKE2_SOURCE"] = "/archive"
	got := p.run("config", "set", "rke2.cni=cilium", "rke2.source=release")
	if got.code != 0 || !strings.Contains(got.err, "$SKYCTL_RKE2_SOURCE overrides rke2.source in the file") ||
		got.out != "Set rke2.cni in "+file+".\nSet rke2.source in "+file+".\n" {
		t.Errorf("exit %d, %q, %q", got.code, got.out, got.err)
	}
	text, err := os.ReadFile(file)
	if want := "# mine\nrke2:\n  source: release\n  cni: cilium # why\n"; err != nil || string(text) != want {
		t.Errorf("%v, %q", err, text)
	}
	for setting, want := range map[string]string{"rke2.cni": "cilium\n", "rke2.source": "/archive\n",
		"docker.image": "\n", "reconcile.interval": "1m0s\n"} {
		if got := p.run("config", "get", setting); got.code != 0 || got.out != want {
			t.Errorf("%s: exit %d, %q, want %q (%s)", setting, got.code, got.out, want, got.err)
		}
	}
	if got := p.run("config", "set", "rke2.cni", "cilium"); got.code != 0 ||
		!strings.Contains(got.out, "is unchanged") {
		t.Errorf("the same again: exit %d, %q", got.code, got.out)
	}
	if got := p.run("config", "unset", "rke2.cni", "rke2.source"); got.code != 0 {
		t.Errorf("unset: exit %d, %s", got.code, got.err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "# mine\nrke2: {}\n" {
		t.Errorf("%v, %q", err, text)
	}
}

func TestConfigRefusesWhatWouldNotLoad(t *testing.T) {
	p, dir := newUserWithoutServers(t)
	for line, want := range map[string]string{
		"set rke2.versoin v1":               "unknown key rke2.versoin; did you mean rke2.version?",
		"set rke2.version":                  "missing the value of rke2.version",
		"set":                               "missing a setting and its value",
		"set rke2.registries x":             "with an editor",
		"set dev.uiPort 99999":              "a port from 1 to 65535",
		"set etcd.endpoints https://e:2379": "temporal.address is not",
		"unset":                             "missing the name of a setting",
		"get nope":                          "unknown key nope",
	} {
		got := p.run(append([]string{"config"}, strings.Fields(line)...)...)
		if got.code != ExitUsage || !strings.Contains(got.err, want) {
			t.Errorf("%s: exit %d, %q, want %q", line, got.code, got.err, want)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("refused commands wrote %v, %v", entries, err)
	}
}

func TestConfigViewShowsSourcesAndNoPasswords(t *testing.T) {
	p, dir := newUserWithoutServers(t)
	text := "etcd.endpoints: https://ann:secret@e:2379\ntemporal.address: t:7233\n"
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.env["SKYCTL_RKE2_CNI"] = "cilium"
	got := p.run("config", "view", "--only-set", "-o", "json")
	var list settingList
	if err := json.Unmarshal([]byte(got.out), &list); err != nil || got.code != 0 || len(list.Items) != 3 {
		t.Fatalf("exit %d, %v: %s%s", got.code, err, got.out, got.err)
	}
	if cni := list.Items[1]; cni.Key != "rke2.cni" || cni.Source != "$SKYCTL_RKE2_CNI" ||
		cni.From != config.FromEnvironment {
		t.Errorf("rke2.cni is %+v", cni)
	}
	table := p.run("config", "view")
	if !strings.Contains(table.out, "SETTING ") || strings.Contains(table.out+got.out, "secret@") {
		t.Errorf("the view is %s", table.out)
	}
	if got := p.run("config", "get", "etcd.endpoints"); got.out != "https://redacted@e:2379\n" {
		t.Errorf("get prints %q", got.out)
	}
}

func TestConfigSetSaysWhenTheServerNeedsARestart(t *testing.T) {
	p := newExternalUser(t)
	got := p.run("config", "set", "reconcile.interval", "5m")
	if got.code != 0 || !strings.Contains(got.err, "restart that") {
		t.Errorf("exit %d, %q", got.code, got.err)
	}
	if got := p.run("config", "set", "rke2.cni", "cilium"); got.code != 0 || strings.Contains(got.err, "restart") {
		t.Errorf("a setting of clusters: exit %d, %q", got.code, got.err)
	}
}

func TestConfigSetOfABastionSaysThatTheServerNeedsARestart(t *testing.T) {
	p := newLocalUser(t)
	p.run("server", "start")
	bastion := []string{"config", "set", "ssh.proxyJump=a@b", "ssh.proxyJumpHostKey=" + exampleBastionKey(t),
		"ssh.proxyJumpSecret=bastion"}
	p.run(bastion...).checkOutput(t, 0, "Set ssh.proxyJump in ", "Note: the running server has read ssh.proxyJump, "+
		"ssh.proxyJumpHostKey, ssh.proxyJumpSecret when it started; to apply the change: skyctl server restart\n")
	if got := p.run("config", "set", "rke2.cni", "cilium"); got.code != 0 || strings.Contains(got.err, "restart") {
		t.Errorf("a setting of clusters: exit %d, %q", got.code, got.err)
	}
	p.run("server", "stop")
	if got := p.run("config", "set", "ssh.proxyJump=a@c"); got.code != 0 || strings.Contains(got.err, "restart") {
		t.Errorf("no server: exit %d, %q", got.code, got.err)
	}
}

func exampleBastionKey(t *testing.T) string {
	t.Helper()
	key, ok := api.FindField("ssh_proxy_jump_host_key")
	if !ok {
		t.Fatal("there is no such field")
	}
	return key.Example
}

func TestSettingsAndTheirValuesAreCompleted(t *testing.T) {
	p, _ := newUserWithoutServers(t)
	for line, want := range map[string]string{
		"config set skypilot.usage ":   "true\nfalse\n:0\n",
		"config set skypilot.usage=":   "skypilot.usage=true\nskypilot.usage=false\n:0\n",
		"config get reconcile.orphan":  "reconcile.orphanGrace\n:4\n",
		"config unset gpu.imageMirro":  "gpu.imageMirror\n:4\n",
		"config set rke2.source=relea": "rke2.source=release\n:0\n",
	} {
		if got := p.run(append([]string{"__completeNoDesc"}, strings.Split(line, " ")...)...); got.out != want {
			t.Errorf("%s: %q, want %q", line, got.out, want)
		}
	}
}
