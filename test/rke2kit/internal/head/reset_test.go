package head

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/bootstrap"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/etcd"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/etcdmember"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/etcdtest"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/proc"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/supervisor"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/token"
)

// TestMain lets this program be the program kube, as far as a server needs it for its etcd.
func TestMain(m *testing.M) {
	commands := map[string]func() *cobra.Command{"etcd": etcdmember.NewServerCommand,
		etcd.RestoreCommand: etcdmember.NewRestoreCommand}
	if len(os.Args) > 1 && commands[os.Args[1]] != nil {
		cmd := commands[os.Args[1]]()
		cmd.SetArgs(os.Args[2:])
		if err := cmd.Execute(); err != nil {
			fmt.Fprintln(os.Stderr, "Error:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// machine is a server's disk and its etcd, without the rest.
type machine struct {
	t       *testing.T
	dataDir string
	etcd    etcdAddresses
	group   *proc.Group
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	group, err := proc.NewGroup(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, dataDir: t.TempDir(), group: group}
	addresses := etcdtest.FreeAddresses(t, 3)
	m.etcd.client, m.etcd.peer, m.etcd.metrics = addresses[0], addresses[1], addresses[2]
	t.Cleanup(m.stop)
	return m
}

func (m *machine) head(serverToken string) *Head {
	m.t.Helper()
	self, err := os.Executable()
	if err != nil {
		m.t.Fatal(err)
	}
	h := newHead(Options{DataDir: m.dataDir, PodLogs: filepath.Join(m.dataDir, "pods"), NodeName: "head",
		NodeIP: "10.0.0.1", Token: serverToken, KubeBinary: self,
		Kubeconfig: filepath.Join(m.dataDir, "rke2.yaml"),
		Cluster:    supervisor.ClusterConfig{ClusterDomain: "cluster.local"}}, m.group)
	h.etcd = m.etcd
	return h
}

// start does what a start of the server does for its datastore, and tells whether it was the first after a reset.
func (m *machine) start(serverToken string) (*Head, bool, error) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	h := m.head(serverToken)
	if err := h.reconcileBootstrap(); err != nil {
		return h, false, err
	}
	var err error
	if err = errors.Join(h.makeDirectories(), h.makeCertificates()); err != nil {
		return h, false, err
	}
	if h.creds, err = h.settleCredentials(); err != nil {
		return h, false, err
	}
	wasReset, err := h.startDatastore(ctx)
	if err == nil {
		err = errors.Join(h.keepBootstrap(ctx), h.writeTokenFiles())
	}
	return h, wasReset, err
}

func (m *machine) mustStart(serverToken string) (*Head, bool) {
	m.t.Helper()
	h, wasReset, err := m.start(serverToken)
	if err != nil {
		m.t.Fatal(err)
	}
	return h, wasReset
}

func (m *machine) stop() { m.group.Stop(etcdGrace, etcdComponent) }

func (m *machine) reset(serverToken, restorePath string) error {
	m.t.Helper()
	return m.head(serverToken).reset(context.Background(), restorePath)
}

func (m *machine) find(pattern string) []string {
	m.t.Helper()
	found, err := filepath.Glob(filepath.Join(m.dataDir, "server", pattern))
	if err != nil {
		m.t.Fatal(err)
	}
	return found
}

func (m *machine) read(name string) string {
	m.t.Helper()
	data, err := os.ReadFile(filepath.Join(m.dataDir, "server", name))
	if err != nil {
		m.t.Fatal(err)
	}
	return string(data)
}

func client(t *testing.T, h *Head) *etcd.Client {
	t.Helper()
	c, err := h.newEtcdClient()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func put(t *testing.T, h *Head, key, value string) {
	t.Helper()
	if err := client(t, h).Put(context.Background(), key, []byte(value)); err != nil {
		t.Fatal(err)
	}
}

// state is all keys below /registry, with their values.
func state(t *testing.T, h *Head) string {
	t.Helper()
	keys, err := client(t, h).ListPrefix(context.Background(), "/registry")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, kv := range keys {
		out = append(out, string(kv.Key)+"="+string(kv.Value))
	}
	return strings.Join(out, " ")
}

// saveSnapshot takes a snapshot of a started server's etcd, with its token "first", after which its state changes.
func saveSnapshot(t *testing.T, m *machine) string {
	t.Helper()
	h, _ := m.mustStart("first")
	put(t, h, "/registry/a", "before")
	file := filepath.Join(t.TempDir(), "snapshot")
	if err := client(t, h).SaveSnapshot(context.Background(), file); err != nil {
		t.Fatal(err)
	}
	put(t, h, "/registry/a", "after")
	put(t, h, "/registry/b", "after")
	m.stop()
	return file
}

func TestRestoreInPlaceKeepsTheOldDatabaseBeside(t *testing.T) {
	m := newMachine(t)
	file := saveSnapshot(t, m)
	name, ca := m.read("db/etcd/name"), m.read("tls/server-ca.crt")
	if err := m.reset("first", file); err != nil {
		t.Fatal(err)
	}
	if old := m.find("db/etcd-old-*/member/wal"); len(old) != 1 {
		t.Errorf("old databases: %v", old)
	}
	if len(m.find("db/reset-flag")) != 1 || len(m.find("tls-*/server-ca.key")) != 1 {
		t.Error("there is no reset flag, or no copy of the certificates")
	}
	if now := m.read("db/etcd/name"); now == name || !strings.HasPrefix(now, "head-") {
		t.Errorf("the member was %s and is %s", name, now)
	}
	h, wasReset := m.mustStart("first")
	if got := state(t, h); got != "/registry/a=before" {
		t.Errorf("the state is %s", got)
	}
	if !wasReset || len(m.find("db/reset-flag")) != 0 {
		t.Errorf("the start after the reset: %v, flag %v", wasReset, m.find("db/reset-flag"))
	}
	if m.read("tls/server-ca.crt") != ca {
		t.Error("the CA is another one")
	}
}

func TestRestoreOnANewMachineTakesOverTheAuthorities(t *testing.T) {
	old := newMachine(t)
	file := saveSnapshot(t, old)
	m := newMachine(t)
	if err := m.reset(strings.TrimSpace(old.read("token")), file); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tls/server-ca.crt", "tls/client-ca.key", "tls/service.key", "cred/passwd"} {
		if m.read(name) != old.read(name) {
			t.Errorf("%s is another one than in the snapshot", name)
		}
	}
	h, _ := m.mustStart(strings.TrimSpace(old.read("token")))
	if got := state(t, h); got != "/registry/a=before" {
		t.Errorf("the state is %s", got)
	}
	if got := m.read("token"); got != old.read("token") {
		t.Errorf("the token is %s, want %s", got, old.read("token"))
	}
}

func TestRestoresThatRKE2RejectsAreRejected(t *testing.T) {
	file := saveSnapshot(t, newMachine(t))
	damaged := filepath.Join(t.TempDir(), "damaged")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(damaged, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		token, path, want string
		moved             bool // the database was moved away before the error
	}{
		"another token": {"second", file, bootstrap.ErrOtherToken.Error(), true},
		"no token":      {"", file, "does not exist, please pass --token to complete the restoration", false},
		"missing file":  {"first", file + ".gone", "etcd: snapshot path does not exist: " + file + ".gone", false},
		"directory":     {"first", filepath.Dir(file), "etcd: snapshot path must be a file, not a directory", false},
		"damaged file":  {"first", damaged, "expected sha256 [", true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			err := m.reset(c.token, c.path)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if moved := len(m.find("db/etcd-old-*")) > 0; moved != c.moved {
				t.Errorf("the old database was moved: %v", moved)
			}
		})
	}
}

func TestResetWithoutASnapshotKeepsTheStateOnce(t *testing.T) {
	m := newMachine(t)
	saveSnapshot(t, m)
	name := m.read("db/etcd/name")
	if err := m.reset("first", ""); err != nil {
		t.Fatal(err)
	}
	if m.read("db/etcd/name") == name {
		t.Errorf("the member is still %s", name)
	}
	err := m.reset("first", "")
	if err == nil || !strings.Contains(err.Error(), "Managed etcd cluster membership was previously reset") {
		t.Errorf("a second reset: %v", err)
	}
	h, wasReset := m.mustStart("first")
	if got := state(t, h); got != "/registry/a=after /registry/b=after" || !wasReset {
		t.Errorf("the state is %s, after a reset: %v", got, wasReset)
	}
	if old := m.find("db/etcd-old-*"); len(old) != 0 {
		t.Errorf("old databases: %v", old)
	}
}

func TestDataOfAnotherTokenIsRefused(t *testing.T) {
	m := newMachine(t)
	saveSnapshot(t, m)
	if _, _, err := m.start("second"); !errors.Is(err, bootstrap.ErrOtherToken) {
		t.Errorf("got %v", err)
	}
	if _, _, err := m.start(""); err != nil {
		t.Errorf("without a token in the configuration: %v", err)
	}
}

func TestNewerAuthoritiesOnDiskAreRefused(t *testing.T) {
	m := newMachine(t)
	saveSnapshot(t, m)
	file := filepath.Join(m.dataDir, "server", "tls", "client-ca.crt")
	late := time.Now().Add(time.Minute)
	if err := errors.Join(os.WriteFile(file, []byte("another"), 0o600), os.Chtimes(file, late, late)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.start("first"); err == nil ||
		!strings.Contains(err.Error(), file+" newer than datastore and could cause a cluster outage.") {
		t.Errorf("got %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	m.mustStart("first")
	if data, err := os.ReadFile(file); errors.Is(err, fs.ErrNotExist) || bytes.Equal(data, []byte("another")) {
		t.Errorf("the file was not made again from the datastore: %v", err)
	}
}

func TestAChangedAgentTokenReachesTheDatastore(t *testing.T) {
	m := newMachine(t)
	m.mustStart("first")
	m.stop()
	changed := m.head("first")
	changed.opts.AgentToken = "for-agents"
	if err := changed.makeCertificates(); err != nil {
		t.Fatal(err)
	}
	var err error
	if changed.creds, err = changed.settleCredentials(); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if _, err := changed.startDatastore(ctx); err != nil {
		t.Fatal(err)
	}
	if err := changed.keepBootstrap(ctx); err != nil {
		t.Fatal(err)
	}
	keys, err := client(t, changed).ListPrefix(ctx, bootstrap.KeyPrefix)
	if err != nil {
		t.Fatal(err)
	}
	data, err := bootstrap.Find(keys, "first")
	if err != nil || !strings.Contains(string(data["PasswdFile"].Content), token.NodeUser+":for-agents") {
		t.Errorf("the datastore has %s, %v", data["PasswdFile"].Content, err)
	}
}
