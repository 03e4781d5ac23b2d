package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

// loadInDir loads the settings of a state directory.
func loadInDir(t *testing.T, dir, file string, env map[string]string) *Config {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(nil, func(k string) string {
		if v, ok := env[k]; ok {
			return v
		}
		return map[string]string{EnvDir: dir, "HOME": "/home/ada"}[k]
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDifferencesFromRunningServer(t *testing.T) {
	for _, tt := range []struct {
		name             string
		serverFile, file string
		server, env      map[string]string
		want             []string // key, given, used
	}{
		{name: "no settings"},
		{name: "equal values in different notation", serverFile: "reconcile: {interval: 60s}",
			file: "reconcile: {interval: 1m}"},
		{name: "a variable", env: map[string]string{"SKYCTL_DOCKER_NETWORK": "mine"},
			want: []string{"docker.network", "mine", ""}},
		{name: "edited file", serverFile: "dev: {etcdPort: 1001}", file: "dev: {etcdPort: 1002}",
			want: []string{"dev.etcdPort", "1002", "1001"}},
		{name: "removed line", serverFile: "reconcile: {interval: 10s}",
			want: []string{"reconcile.interval", "1m0s", "10s"}},
		{name: "variable of the server", server: map[string]string{"SKYCTL_RECONCILE_INTERVAL": "10s"}},
		{name: "variable of the server, unchanged file",
			server:     map[string]string{"SKYCTL_RECONCILE_INTERVAL": "10s"},
			serverFile: "reconcile: {interval: 2m}", file: "reconcile: {interval: 2m}"},
		{name: "variable of the server, edited file",
			server:     map[string]string{"SKYCTL_RECONCILE_INTERVAL": "10s"},
			serverFile: "reconcile: {interval: 2m}", file: "reconcile: {interval: 3m}",
			want: []string{"reconcile.interval", "3m0s", "10s"}},
		{name: "settings of a cluster's spec", env: map[string]string{"SKYCTL_RKE2_VERSION": "v1.34.1+rke2r1",
			"SKYCTL_GPU_OPERATOR_VERSION": "v26.3.1"}},
		{name: "etcd prefix", env: map[string]string{"SKYCTL_ETCD_PREFIX": "/other"},
			want: []string{"etcd.prefix", "/other", "/skyctl"}},
		{name: "address with a password", serverFile: "skypilot: {endpoint: 'https://u:secret@a'}",
			file: "skypilot: {endpoint: 'https://u:secret@b'}",
			want: []string{"skypilot.endpoint", "https://redacted@b", "https://redacted@a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			used := loadInDir(t, dir, tt.serverFile, tt.server).UsedSettings()
			c := loadInDir(t, dir, tt.file, tt.env)
			var got []string
			for _, d := range c.DifferencesFrom(used) {
				got = append(got, d.Key, d.Given, d.Used)
				if d.From == "" {
					t.Errorf("%s has no source", d.Key)
				}
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if all := c.DifferencesFrom(nil); all != nil {
				t.Errorf("from an older server: %+v", all)
			}
			for _, u := range used {
				if strings.Contains(u.Value+u.InFile, "secret@") {
					t.Errorf("the password is not redacted: %+v", u)
				}
			}
		})
	}
}

func TestEditedValuesFileIsADifference(t *testing.T) {
	dir := t.TempDir()
	values := filepath.Join(dir, "values.yaml")
	write := func(content string) {
		if err := os.WriteFile(values, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("driver: {version: 1}\n")
	c := loadInDir(t, dir, "gpu: {valuesFile: values.yaml}\n", nil)
	used := c.UsedSettings()
	if got := c.DifferencesFrom(used); got != nil {
		t.Errorf("without an edit: %+v", got)
	}
	write("driver: {version: 2}\n")
	got := c.DifferencesFrom(used)
	if len(got) != 1 || got[0].Key != "gpu.valuesFile" || got[0].Given == got[0].Used ||
		!strings.HasPrefix(got[0].Given, values) {
		t.Errorf("got %+v", got)
	}
}

func TestTeamWorkerConnectionSettingsAreNotCompared(t *testing.T) {
	servers := map[string]string{"SKYCTL_ETCD_ENDPOINTS": "http://e:2379", "SKYCTL_TEMPORAL_ADDRESS": "t:7233"}
	used := loadInDir(t, t.TempDir(), "reconcile: {interval: 10s}\nsecretsKeyFile: /worker/key\n",
		servers).UsedSettings()
	c := loadInDir(t, t.TempDir(), "reconcile: {interval: 2m}\nsecretsKeyFile: /ann/key\ndev: {etcdPort: 1002}\n",
		servers)
	got := c.DifferencesFrom(used)
	if len(got) != 1 || got[0].Key != "reconcile.interval" {
		t.Errorf("got %+v", got)
	}
	for key := range used {
		if strings.Contains(key, ".tls.") || key == "etcd.endpoints" {
			t.Errorf("%s is reported, but can differ", key)
		}
	}
}

func TestClusterSettingsAreRecordedInSpec(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	c := mustLoadSettings(t, "rke2: {source: /kit, sha256: "+sum+"}\ngpu: {operatorVersion: v26.3.1}\n",
		map[string]string{"SKYCTL_RKE2_VERSION": "v1.34.1+rke2r1"})
	spec := api.GroupSpec{}
	c.ApplyToSpec(&spec)
	want := api.GroupSpec{KubernetesVersion: "v1.34.1+rke2r1", RKE2: api.RKE2Release{Source: "/kit", SHA256: sum}}
	if !reflect.DeepEqual(spec, want) {
		t.Errorf("got %+v", spec)
	}
	spec = api.GroupSpec{KubernetesVersion: "v1.33.1+rke2r1", Accelerators: "A100:8"}
	c.ApplyToSpec(&spec)
	if spec.KubernetesVersion != "v1.33.1+rke2r1" || spec.GPU.OperatorVersion != "v26.3.1" ||
		spec.GPU.PluginVersion != "" {
		t.Errorf("with accelerators and a Kubernetes version: %+v", spec)
	}
	spec = api.GroupSpec{}
	mustLoadSettings(t, "", nil).ApplyToSpec(&spec)
	if spec.RequiredLevel() != 1 {
		t.Errorf("settings that were not set are recorded: %+v", spec)
	}
}

func TestListsOfRKE2AreRecordedInNewClusters(t *testing.T) {
	c := mustLoadSettings(t, `rke2:
  cni: cilium
  enableServicelb: true
  config: {selinux: true, kube-apiserver-arg: [a=1, b=2]}
  registries:
  - {host: docker.io, mirrors: [https://mirror.example.com]}
  - {host: r.io, secret: login}
  env:
`, map[string]string{"SKYCTL_RKE2_INGRESS": "none"})
	spec := api.ClusterSpec{RKE2: api.RKE2Settings{Registries: []api.Registry{{Host: "r.io", Secret: "own"}}}}
	c.ApplyToCluster(&spec)
	want := api.RKE2Settings{
		Registries: []api.Registry{{Host: "r.io", Secret: "own"},
			{Host: "docker.io", Mirrors: []string{"https://mirror.example.com"}}},
		Config: map[string]api.ConfigValue{"selinux": {"true"}, "kube-apiserver-arg": {"a=1", "b=2"}},
	}
	if !reflect.DeepEqual(spec.RKE2, want) || spec.Network.CNI != "cilium" || spec.Ingress != "none" ||
		spec.EnableServiceLB == nil || !*spec.EnableServiceLB {
		t.Errorf("got %+v, want %+v", spec, want)
	}
	spec = api.ClusterSpec{EnableServiceLB: new(false)}
	if c.ApplyToCluster(&spec); *spec.EnableServiceLB {
		t.Error("a cluster cannot do without what the installation enables")
	}
}

func TestInvalidListsOfRKE2AreRefused(t *testing.T) {
	for file, want := range map[string]string{
		"rke2: {config: {token: hunter2}}":                       "rke2.config[token]",
		"rke2: {config: {proflie: cis}}":                         "profile, or another key",
		"rke2: {config: cis}":                                    "skyctl explain cluster.spec.rke2.config",
		"rke2: {registries: [{host: r.io, password: hunter2}]}":  `unknown field "password"`,
		"rke2: {env: [{name: API_TOKEN, value: hunter2}]}":       "create secret",
		"rke2: {images: [{path: a.tar}]}":                        "absolute path",
		"rke2: {image: [{path: /a.tar}]}":                        "did you mean rke2.images",
		"rke2: {wrong: 1}":                                       "rke2.registries",
		"rke2.config: {selinux: true}\nrke2: {config: {a: b}}\n": "set twice",
		"rke2: {cni: weave}":                                     "canal",
		"rke2: {ingress: haproxy}":                               "traefik",
	} {
		_, err := loadSettings(t, file, nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestEverySpecFieldSettingExists(t *testing.T) {
	for _, f := range api.Fields {
		if f.Setting == "" {
			continue
		}
		if v := findSetting(f.Setting).envName(); v != f.Variable {
			t.Errorf("%s: the variable of %s is %s, declared is %s", f.Name, f.Setting, v, f.Variable)
		}
	}
}

func TestInvalidRKE2VersionAndSourceAreRejected(t *testing.T) {
	for _, v := range []string{"v9.9.9+rke2r1", "1.35.7", "v1.35", "latest", "v1.35.7+rke2r1 "} {
		if _, err := loadSettings(t, "", map[string]string{"SKYCTL_RKE2_VERSION": v}); err == nil ||
			!strings.Contains(err.Error(), "$SKYCTL_RKE2_VERSION") {
			t.Errorf("%q: %v", v, err)
		}
	}
	_, err := loadSettings(t, "", map[string]string{"SKYCTL_RKE2_SOURCE": "https://ann:secret@mirror/x"})
	if err == nil || !strings.Contains(err.Error(), "password") {
		t.Errorf("a source with a password: %v", err)
	}
}

func TestDevEnvironReproducesSettings(t *testing.T) {
	dir := t.TempDir()
	c := loadInDir(t, dir, "reconcile: {interval: 10s}",
		map[string]string{"SKYCTL_DEV_ETCD_PORT": "1001", "SKYCTL_DOCKER_NETWORK": "mine"})
	env := map[string]string{}
	for _, pair := range c.DevEnviron() {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	got, err := Load(nil, func(k string) string { return env[k] })
	if err != nil || !reflect.DeepEqual(got.UsedSettings(), c.UsedSettings()) {
		t.Errorf("the other program loads %+v, %v", got, err)
	}
}
