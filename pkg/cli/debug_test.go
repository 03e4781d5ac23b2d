package cli

import (
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/tarfiles"
)

// readBundleFiles returns the files of a bundle by name.
func readBundleFiles(t *testing.T, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return tarfiles.ReadCompressed(t, f)
}

// plantSecrets stores a secret of every kind, and returns them by kind.
func plantSecrets(t *testing.T, c *api.Cluster, p *testUser, sshKey []byte) map[string]string {
	t.Helper()
	next, _, err := remote.NewKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	planted := map[string]string{
		store.SecretServerToken:   "K10aaaa0000bbbb::server:planted0server1token",
		store.SecretAgentToken:    "planted-agent-token-01",
		store.SecretAgentPassword: "planted-agent-password-02", store.SecretNextSSHKey: string(next),
		store.SecretKubeconfig: "users: [{user: {client-key-data: cGxhbnRlZC1jbGllbnQta2V5LTAzLXBsYW50ZWQ=}}]\n",
	}
	for key, value := range planted {
		if err := world.Store.PutSecret(t.Context(), c.Ref(), key, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	planted[store.SecretSSHKey] = string(sshKey)
	p.env["PLANTED_API_KEY"] = "planted-environment-key-05"
	planted["environment"] = p.env["PLANTED_API_KEY"]
	p.in = "planted-stored-secret-04"
	p.run("create", "secret", "planted-in-bundle", "--from-stdin", "password")
	planted["stored"], p.in = p.in, ""
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := world.Store.DeleteNamedSecret(ctx, "planted-in-bundle", true); err != nil {
			t.Error(err)
		}
	})
	return planted
}

func TestDebugBundleHasLogsAndNoSecret(t *testing.T) {
	world.StartWorker(t) // the check of the machines takes minutes if one has just stopped
	c, servers := storeReachableCluster(t, "bundled", 1)
	servers[1].Stop()
	p := newKeyHolder(t)
	planted := plantSecrets(t, c, p, servers[0].Key)
	// every secret is in the logs of the head, as it is and encoded
	bin := t.TempDir()
	script := "#!/bin/sh\necho \"a line of $0 $*\"\ncat " + bin + "/leak\n"
	leak := ""
	for _, s := range planted {
		leak += s + "\n" + base64.StdEncoding.EncodeToString([]byte("leading "+s)) + "\n"
	}
	for name, text := range map[string]string{"journalctl": script, "kubectl": script, "leak": leak} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	servers[0].Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH")}
	if err := world.Store.RecordEvent(t.Context(), api.Event{Cluster: "bundled", UID: c.Metadata.UID,
		Type: api.EventWarning, Reason: "Planted", Message: "it said planted-agent-token-01"}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "b.tar.gz")
	got := p.run("debug", "bundle", "bundled", "-f", file)
	if got.code != 0 || !strings.HasSuffix(got.out, file+"\n") ||
		!strings.Contains(got.err, "Missing: machines/sky-bundled-1/rke2.log: machine sky-bundled-1: connecting to") {
		t.Fatalf("exit %d, %q, %q", got.code, got.out, got.err)
	}
	files := readBundleFiles(t, file)
	for name, want := range map[string]string{
		"cluster.yaml": "name: bundled", "events.yaml": "MachineAccessed", "servers.json": "etcd",
		"machines/sky-bundled-0/rke2.log": "a line of", "machines/sky-bundled-0/state.txt": "== uname -a",
		"kubernetes/pods.txt": "get pods -A -o wide", "kubernetes/events.txt": "get events -A",
		"REPORT.txt": "machines/sky-bundled-1/system.log: machine sky-bundled-1",
	} {
		if !strings.Contains(files["bundled/"+name], want) {
			t.Errorf("%s has no %q: %.300q", name, want, files["bundled/"+name])
		}
	}
	checkNoSecrets(t, files, planted)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if got := p.run("debug", "bundle", "bundled", "-f", file); got.code != ExitUsage {
		t.Errorf("a file that exists: exit %d, %q", got.code, got.err)
	}
	if got := p.run("debug", "bundle", "bundeld"); got.code != ExitNotFound ||
		!strings.Contains(got.err, "did you mean bundled?") {
		t.Errorf("a misspelt name: exit %d, %q", got.code, got.err)
	}
}

// checkNoSecrets looks for parts of each secret: whole lines, and the encoded form.
func checkNoSecrets(t *testing.T, files, planted map[string]string) {
	t.Helper()
	for kind, secret := range planted {
		for _, line := range strings.Split(secret, "\n") {
			if len(line) < 16 || strings.HasPrefix(line, "-----") || strings.HasPrefix(line, "users:") {
				continue
			}
			for name, text := range files {
				if strings.Contains(text, line) {
					t.Errorf("%s has a secret of kind %s: %q", name, kind, line)
				}
			}
		}
		encoded := base64.StdEncoding.EncodeToString([]byte("leading " + secret))
		part := encoded[16:40]
		if kind == store.SecretServerToken { // it begins with a hash that is no secret
			part = encoded[len(encoded)-32 : len(encoded)-8]
		}
		for name, text := range files {
			if kind != store.SecretKubeconfig && strings.Contains(text, part) {
				t.Errorf("%s has an encoded secret of kind %s", name, kind)
			}
		}
	}
	for name, text := range files {
		if strings.Contains(text, "cGxhbnRlZC1jbGllbnQta2V5") {
			t.Errorf("%s has the key in the kubeconfig", name)
		}
	}
}
