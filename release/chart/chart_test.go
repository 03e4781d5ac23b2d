// Package chart tests the objects of the Helm chart skyd-worker, which test/rke2kit/internal/workerchart renders into
// testdata: skyd reads their settings, and a Kubernetes API server takes them.
package chart

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	syaml "sigs.k8s.io/yaml"

	"github.com/sky-shift/skyctl/pkg/config"
)

// object is one rendered object: its kind, and its text.
type object struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	text              []byte
}

// readObjects returns the objects of a file of testdata.
func readObjects(t *testing.T, name string) []object {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var all []object
	for d := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(content))); ; {
		text := make([]byte, len(content))
		n, err := d.Read(text)
		if errors.Is(err, io.EOF) {
			return all
		}
		o := object{text: text[:n]}
		if err == nil {
			err = syaml.Unmarshal(o.text, &o)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if o.Kind != "" { // the notes are comments
			all = append(all, o)
		}
	}
}

func readDeployment(t *testing.T, name string) appsv1.Deployment {
	t.Helper()
	var d appsv1.Deployment
	for _, o := range readObjects(t, name) {
		if o.Kind == "Deployment" {
			if err := syaml.UnmarshalStrict(o.text, &d); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(d.Spec.Template.Spec.Containers) != 1 {
		t.Fatalf("%s: got %d containers", name, len(d.Spec.Template.Spec.Containers))
	}
	return d
}

// loadSettings reads the settings as skyd does in a container.
func loadSettings(t *testing.T, c corev1.Container) *config.Config {
	t.Helper()
	variables := map[string]string{}
	var environ []string
	for _, v := range c.Env {
		if _, twice := variables[v.Name]; twice {
			t.Errorf("%s is set twice", v.Name)
		}
		variables[v.Name] = v.Value
		environ = append(environ, v.Name+"="+v.Value)
	}
	if notes := config.UnknownVariableNotes(environ); len(notes) > 0 {
		t.Errorf("skyd does not know %v", notes)
	}
	cfg, err := config.Load(nil, func(name string) string { return variables[name] })
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestSkydReadsTheSettingsOfTheChart(t *testing.T) {
	pod := readDeployment(t, "many").Spec.Template.Spec
	cfg := loadSettings(t, pod.Containers[0])
	tls := func(server string) config.TLS {
		dir := "/etc/skyctl/" + server
		return config.TLS{CA: dir + "/ca.crt", Cert: dir + "/tls.crt", Key: dir + "/tls.key",
			ServerName: server + ".example.com"}
	}
	for _, c := range []struct{ what, got, want any }{
		{"external", cfg.IsExternal(), true},
		{"dir", cfg.Dir, "/var/lib/skyd/state"},
		{"etcd", strings.Join(cfg.Etcd.Endpoints, " "), "https://10.0.0.5:2379 https://10.0.0.6:2379"},
		{"etcd's prefix", cfg.Etcd.Prefix, "/team"},
		{"etcd's TLS", cfg.Etcd.TLS, tls("etcd")},
		{"Temporal", cfg.Temporal.Address, "10.0.0.5:7233"},
		{"namespace", cfg.Temporal.Namespace, "clusters"},
		{"task queue", cfg.Temporal.TaskQueue, "clusters"},
		{"Temporal's TLS", cfg.Temporal.TLS, tls("temporal")},
		{"key", cfg.SecretsKeyFile, "/etc/skyctl/key/secrets.key"},
		{"service load balancer", cfg.RKE2.EnableServiceLB, true},
		{"interval", cfg.Reconcile.Interval.String(), "30s"},
		{"quota", cfg.Snapshots.QuotaGiB, 200},
		{"SkyPilot", cfg.SkyPilot.Endpoint, "https://sky.example.com"},
		{"token", cfg.SkyPilot.TokenFile, "/etc/skypilot/token"},
		{"gateway", cfg.Gateway.Listen, "0.0.0.0:7222"},
		{"snapshots", cfg.Snapshots.Dir, "/var/lib/skyd/state/snapshots"},
	} {
		if c.got != c.want {
			t.Errorf("%s is %v, want %v", c.what, c.got, c.want)
		}
	}
	bare := readDeployment(t, "bare").Spec.Template.Spec
	if cfg := loadSettings(t, bare.InitContainers[0]); cfg.Etcd.TLS != (config.TLS{}) ||
		cfg.Temporal.TLS != (config.TLS{}) {
		t.Errorf("without Secrets TLS is %v and %v", cfg.Etcd.TLS, cfg.Temporal.TLS)
	}
}

// TestEveryFileOfASettingIsMounted checks that each path below /etc in a variable is a file of a mounted Secret.
func TestEveryFileOfASettingIsMounted(t *testing.T) {
	for _, name := range []string{"one", "many", "bare"} {
		pod := readDeployment(t, name).Spec.Template.Spec
		files := map[string]bool{}
		for _, mount := range pod.Containers[0].VolumeMounts {
			for _, v := range pod.Volumes {
				if v.Name != mount.Name || v.Secret == nil {
					continue
				}
				files[mount.MountPath+"/token"] = len(v.Secret.Items) == 0
				for _, item := range v.Secret.Items {
					files[mount.MountPath+"/"+item.Path] = true
				}
			}
		}
		for _, v := range pod.Containers[0].Env {
			if strings.HasPrefix(v.Value, "/etc/") && !files[v.Value] {
				t.Errorf("%s: %s is %s, which is not mounted", name, v.Name, v.Value)
			}
		}
	}
}

// TestSchemaHasTheSettingsOfAWorker compares the schema with the settings of skyd: those that the chart sets itself,
// and those of skyd dev and of Docker hosts, are not in it.
func TestSchemaHasTheSettingsOfAWorker(t *testing.T) {
	content, err := os.ReadFile("skyd-worker/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties struct {
			Settings struct {
				Properties map[string]struct{ Properties map[string]any }
			}
		}
	}
	if err := json.Unmarshal(content, &schema); err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for heading, s := range schema.Properties.Settings.Properties {
		for key := range s.Properties {
			got = append(got, heading+"."+key)
		}
	}
	elsewhere := []string{"etcd.endpoints", "temporal.address", "temporal.namespace", "secretsKeyFile",
		"gateway.listen"}
	for _, s := range config.ListSettings() {
		heading, _, _ := strings.Cut(s.Key, ".")
		if slices.Contains(elsewhere, s.Key) || strings.Contains(s.Key, ".tls.") ||
			slices.Contains([]string{"dev", "docker", "ui"}, heading) || isOfSkyctl(s.Key) {
			continue
		}
		want = append(want, s.Key)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the schema has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// isOfSkyctl reports whether only skyctl reads a setting.
func isOfSkyctl(key string) bool {
	return strings.HasPrefix(key, "kubeconfig.") || key == "gateway.address"
}
