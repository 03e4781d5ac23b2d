package config

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func TestMain(m *testing.M) {
	syscall.Umask(0o022) // otherwise directories of the tests may be writable by the group
	os.Exit(m.Run())
}

// loadSettings reads settings from a new state directory with file as its config.yaml.
func loadSettings(t *testing.T, file string, env map[string]string, args ...string) (*Config, error) {
	t.Helper()
	dir := t.TempDir()
	if file != "" {
		if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	BindFlags(fs)
	BindDevFlags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return Load(fs, func(k string) string {
		if v, ok := env[k]; ok {
			return v
		}
		return map[string]string{EnvDir: dir, "HOME": "/home/ada"}[k]
	})
}

func mustLoadSettings(t *testing.T, file string, env map[string]string, args ...string) *Config {
	t.Helper()
	c, err := loadSettings(t, file, env, args...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaultsUseLoopbackWithOwnCertificates(t *testing.T) {
	c := mustLoadSettings(t, "", nil)
	pki := TLS{CA: c.Dir + "/pki/ca.crt", Cert: c.Dir + "/pki/client.crt", Key: c.Dir + "/pki/client.key"}
	want := &Config{
		Dir:            c.Dir,
		LedgerDir:      "/home/ada/.local/state/skyctl",
		Etcd:           Etcd{Endpoints: []string{"https://127.0.0.1:2379"}, Prefix: "/skyctl", TLS: pki},
		Temporal:       Temporal{Address: "127.0.0.1:7233", Namespace: "skyctl", TaskQueue: "skyctl", TLS: pki},
		UI:             UI{Address: "http://127.0.0.1:8233"},
		Dev:            Dev{TemporalPort: 7233, UIPort: 8233, EtcdPort: 2379},
		SecretsKeyFile: c.Dir + "/secrets.key",
		RKE2:           RKE2{Version: "v1.35.7+rke2r1", Source: "release"},
		Docker:         Docker{BaseImage: "debian:12"},
		SkyPilot:       SkyPilot{Port: 46581},
		Reconcile:      Reconcile{Interval: time.Minute, NotReadyFor: 5 * time.Minute, OrphanGrace: 15 * time.Minute},
		Snapshots:      Snapshots{Dir: c.Dir + "/snapshots", QuotaGiB: 20},
		GPU:            GPU{OperatorVersion: "v26.3.2", PluginVersion: "0.19.2", Timeout: 30 * time.Minute},
	}
	c.values = nil // empty, because nothing was set
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if c.IsExternal() {
		t.Error("IsExternal is true although no server is set")
	}
}

func TestFlagsOverrideEnvironmentOverridesFile(t *testing.T) {
	file := "temporal: {namespace: from-file}\ndev: {etcdPort: 1001, uiPort: 1002, temporalPort: 1003}\n"
	env := map[string]string{"SKYCTL_TEMPORAL_NAMESPACE": "from-env", "SKYCTL_DEV_UI_PORT": "2002",
		"SKYCTL_DEV_TEMPORAL_PORT": "2003"}
	c := mustLoadSettings(t, file, env, "--dev-temporal-port", "3003")
	if c.Temporal.Namespace != "from-env" {
		t.Errorf("namespace is %q", c.Temporal.Namespace)
	}
	if want := (Dev{TemporalPort: 3003, UIPort: 2002, EtcdPort: 1001}); c.Dev != want {
		t.Errorf("ports are %+v, want %+v", c.Dev, want)
	}
	if c.Temporal.Address != "127.0.0.1:3003" || c.Etcd.Endpoints[0] != "https://127.0.0.1:1001" ||
		c.UI.Address != "http://127.0.0.1:2002" {
		t.Errorf("the addresses do not match the ports: %+v", c)
	}
}

func TestStateDirectoryPrecedence(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		env        map[string]string
		args       []string
	}{
		{"flag", "/a/flag", map[string]string{EnvDir: "/an/env", "HOME": "/home/ada"},
			[]string{"--config-dir", "/a/flag"}},
		{"environment", "/an/env", map[string]string{EnvDir: "/an/env", "HOME": "/home/ada"}, nil},
		{"home", "/home/ada/.skyconf", map[string]string{EnvDir: "", "HOME": "/home/ada"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if c := mustLoadSettings(t, "", tt.env, tt.args...); c.Dir != tt.want {
				t.Errorf("got %s, want %s", c.Dir, tt.want)
			}
		})
	}
	if _, err := loadSettings(t, "", map[string]string{EnvDir: "", "HOME": ""}); err == nil ||
		!strings.Contains(err.Error(), EnvDir) {
		t.Errorf("without flag, variable and home: %v", err)
	}
	if _, err := loadSettings(t, "", map[string]string{EnvDir: "/an/env", "HOME": "/home/ada"}, "--config-dir",
		""); err == nil || !strings.Contains(err.Error(), "--config-dir is empty") {
		t.Errorf("with an empty flag: %v", err)
	}
}

func TestExternalServersAreUsedUnchanged(t *testing.T) {
	file := `
etcd:
  endpoints: [https://e1:2379, "https://e2:2379"]
  tls: {ca: certs/ca.crt, cert: ~/c.crt, key: /abs/c.key, serverName: etcd.example}
temporal: {address: "t:7233", tls: {ca: certs/ca.crt}}
ui: {address: "https://ui.example"}
`
	c := mustLoadSettings(t, file, nil)
	want := Etcd{Endpoints: []string{"https://e1:2379", "https://e2:2379"}, Prefix: "/skyctl",
		TLS: TLS{CA: c.Dir + "/certs/ca.crt", Cert: "/home/ada/c.crt", Key: "/abs/c.key", ServerName: "etcd.example"}}
	if !reflect.DeepEqual(c.Etcd, want) {
		t.Errorf("etcd is %+v, want %+v", c.Etcd, want)
	}
	if c.Temporal.Address != "t:7233" || c.Temporal.TLS != (TLS{CA: c.Dir + "/certs/ca.crt"}) ||
		c.UI.Address != "https://ui.example" {
		t.Errorf("temporal is %+v, UI %+v", c.Temporal, c.UI)
	}
	if !c.IsExternal() {
		t.Error("IsExternal is false")
	}

	c = mustLoadSettings(t, "", map[string]string{"SKYCTL_ETCD_ENDPOINTS": "http://e:2379"}, "--temporal-address",
		"t:7233")
	if !c.IsExternal() || c.Temporal.TLS != (TLS{}) || c.Etcd.TLS != (TLS{}) || c.UI.Address != "" {
		t.Errorf("the external servers got settings of skyd dev: %+v", c)
	}
}

func TestInvalidValueErrorNamesSettingAndValidValues(t *testing.T) {
	const both = "etcd: {endpoints: ['http://e:2379']}\ntemporal: {address: 't:7233'}\n"
	for _, tt := range []struct {
		name, file string
		env        map[string]string
		args       []string
		says       []string
	}{
		{name: "port in a flag", args: []string{"--dev-ui-port", "70000"},
			says: []string{"--dev-ui-port", `"70000"`, "1 to 65535"}},
		{name: "port in the environment", env: map[string]string{"SKYCTL_DEV_ETCD_PORT": "no"},
			says: []string{"$SKYCTL_DEV_ETCD_PORT", `"no"`}},
		{name: "port in the file", file: "dev: {etcdPort: 0}",
			says: []string{"config.yaml", "dev.etcdPort", `"0"`, "1 to 65535"}},
		{name: "equal ports", file: "dev: {etcdPort: 8233}", says: []string{"dev.etcdPort", "dev.uiPort", "8233"}},
		{name: "unknown key", file: "temporal: {adress: 'x:1'}",
			says: []string{"config.yaml", "temporal.adress", "temporal.address"}},
		{name: "unknown heading", file: "tempral: {address: 'x:1'}",
			says: []string{"config.yaml", "tempral", "temporal"}},
		{name: "key below a setting", file: "temporal: {namespace: {name: x}}",
			says: []string{"config.yaml", "temporal.namespace"}},
		{name: "heading with a value", file: "temporal: here",
			says: []string{"config.yaml", "temporal", "temporal.address"}},
		{name: "key twice", file: "dev: {etcdPort: 1, etcdPort: 2}", says: []string{"config.yaml", "etcdPort"}},
		{name: "invalid YAML", file: "dev: [", says: []string{"config.yaml"}},
		{name: "list instead of keys", file: "- dev", says: []string{"config.yaml", "keys"}},
		{name: "no value", file: "rke2: {version: }", says: []string{"config.yaml", "rke2.version", "value"}},
		{name: "endpoint without scheme", args: []string{"--etcd-endpoints", "e:2379"},
			says: []string{"--etcd-endpoints", "e:2379", "https://host:port"}},
		{name: "endpoint without port", args: []string{"--etcd-endpoints", "http://a:1,http://e"},
			says: []string{"http://e", "host:port"}},
		{name: "address with scheme", args: []string{"--temporal-address", "http://t:7233"},
			says: []string{"--temporal-address", "without a scheme"}},
		{name: "etcd only", args: []string{"--etcd-endpoints", "http://e:2379"},
			says: []string{"temporal.address is not", "$SKYCTL_TEMPORAL_ADDRESS"}},
		{name: "Temporal only", env: map[string]string{"SKYCTL_TEMPORAL_ADDRESS": "t:7233"},
			says: []string{"$SKYCTL_TEMPORAL_ADDRESS", "--etcd-endpoints"}},
		{name: "certificate without key", file: both, args: []string{"--etcd-tls-cert", "/c"},
			says: []string{"etcd.tls", "both"}},
		{name: "TLS without external servers", args: []string{"--temporal-tls-ca", "/c"},
			says: []string{"temporal.tls", "etcd.endpoints"}},
		{name: "prefix", file: "etcd: {prefix: skyctl/}", says: []string{"etcd.prefix", "skyctl/", "starts with '/'"}},
		{name: "source", env: map[string]string{"SKYCTL_RKE2_SOURCE": "relese"},
			says: []string{"$SKYCTL_RKE2_SOURCE", "relese", `"release"`}},
		{name: "insecure source without checksum", env: map[string]string{"SKYCTL_RKE2_SOURCE": "http://mirror/x"},
			says: []string{"http://mirror/x", "rke2.sha256"}},
		{name: "version", env: map[string]string{"SKYCTL_RKE2_VERSION": "1.35"},
			says: []string{"1.35", DefaultRKE2Version}},
		{name: "checksum", env: map[string]string{"SKYCTL_RKE2_SHA256": "abc"},
			says: []string{"SKYCTL_RKE2_SHA256", "64"}},
		{name: "namespace", args: []string{"--temporal-namespace", "a b"},
			says: []string{"--temporal-namespace", "a b"}},
		{name: "image", env: map[string]string{"SKYCTL_DOCKER_BASE_IMAGE": "Debian 12"},
			says: []string{"SKYCTL_DOCKER_BASE_IMAGE", "debian:12"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := loadSettings(t, tt.file, tt.env, tt.args...)
			if err == nil {
				t.Fatal("no error")
			}
			for _, s := range tt.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%q does not contain %q", err, s)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has more than one line: %q", err)
			}
		})
	}
}

func TestEverySettingHasFileKeyAndVariable(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range settings {
		for _, name := range []string{s.key, s.flagName(), s.envName()} {
			if seen[name] && name != s.key { // a key of one word equals its flag
				t.Errorf("two settings have the name %s", name)
			}
			seen[name] = true
		}
		if s.audience != noProgram && s.help == "" {
			t.Errorf("--%s has no help", s.flagName())
		}
	}
	for _, env := range []string{"SKYCTL_ETCD_ENDPOINTS", "SKYCTL_TEMPORAL_ADDRESS", "SKYCTL_TEMPORAL_NAMESPACE",
		"SKYCTL_RKE2_SOURCE",
		"SKYCTL_RKE2_VERSION", "SKYCTL_ETCD_TLS_SERVER_NAME", "SKYCTL_DEV_UI_PORT", "SKYCTL_SECRETS_KEY_FILE",
		"SKYCTL_TEMPORAL_TASK_QUEUE"} {
		if !slices.ContainsFunc(settings, func(s setting) bool { return s.envName() == env }) {
			t.Errorf("no setting has the variable $%s", env)
		}
	}
}

func TestClusterDirectoryStaysInParent(t *testing.T) {
	c := mustLoadSettings(t, "", nil)
	if got, want := c.KubeconfigPath("cloud-cluster"), c.Dir+"/clusters/cloud-cluster/kubeconfig"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, name := range []string{"", ".", "..", "../..", "a/b", "/etc", ".hidden"} {
		if got := c.ClusterDir(name); filepath.Dir(got) != c.ClustersDir() {
			t.Errorf("ClusterDir(%q) is %s", name, got)
		}
	}
}

func TestMakeDirIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := MakeDir(dir); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if info, err := os.Stat(d); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v %v", d, info.Mode(), err)
		}
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := MakeDir(dir); err == nil || !strings.Contains(err.Error(), "chmod go-w "+dir) {
		t.Errorf("a directory that everyone can write: %v", err)
	}
}

func TestSettingsWritableByOthersAreRejected(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	env := func(k string) string { return map[string]string{EnvDir: dir}[k] }
	if err := os.WriteFile(file, []byte("temporal: {namespace: mine}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		what     string
		mode     os.FileMode
		path     string
		restored os.FileMode
	}{
		{"file writable by the group", 0o620, file, 0o644},
		{"file writable by everyone", 0o602, file, 0o600},
		{"directory writable by the group", 0o770, dir, 0o750},
		{"directory writable by everyone", 0o1777, dir, 0o700},
	} {
		if err := os.Chmod(tt.path, tt.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(nil, env); err == nil || !strings.Contains(err.Error(), tt.path) ||
			!strings.Contains(err.Error(), "chmod go-w "+tt.path) {
			t.Errorf("%s: %v", tt.what, err)
		}
		if err := os.Chmod(tt.path, tt.restored); err != nil {
			t.Fatal(err)
		}
		if c, err := Load(nil, env); err != nil || c.Temporal.Namespace != "mine" {
			t.Errorf("%s, after chmod: %v", tt.what, err)
		}
	}
}

func TestOnlyUserAndRootAreTrustedOwners(t *testing.T) {
	for _, tt := range []struct {
		owner, self int
		fine        bool
	}{{1000, 1000, true}, {0, 1000, true}, {0, 0, true}, {1001, 1000, false}, {1000, 0, false}} {
		err := checkOwnerAndMode("/x/config.yaml", 0o600, tt.owner, tt.self)
		if (err == nil) != tt.fine {
			t.Errorf("file of user %d read by user %d: %v", tt.owner, tt.self, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "/x/config.yaml") || !strings.Contains(err.Error(), EnvDir)) {
			t.Errorf("%q does not name the file and the fix", err)
		}
	}
}

func TestMissingTLSFilesAreNamed(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		tls  TLS
		says string
	}{
		{TLS{CA: dir + "/none.crt"}, dir + "/none.crt"},
		{TLS{CA: empty}, "no PEM certificate"},
		{TLS{Cert: dir + "/c.crt", Key: dir + "/c.key"}, dir + "/c.crt"},
	} {
		if _, err := tt.tls.ClientConfig(); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%+v: %v", tt.tls, err)
		}
	}
	if c, err := (TLS{}).ClientConfig(); c != nil || err != nil {
		t.Errorf("without TLS settings: %v, %v", c, err)
	}
	if c, err := (TLS{ServerName: "x"}).ClientConfig(); err != nil || c == nil || c.RootCAs != nil ||
		c.ServerName != "x" {
		t.Errorf("with the system's authorities: %v, %v", c, err)
	}
}
