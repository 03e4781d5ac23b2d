package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/client"
)

// The values of the secrets of the test.
const (
	registryPassword = "a-registrys-pa55word-7741"
	proxyPassword    = "a-proxys-pa55word-9902"
	proxyURL         = "http://ann:" + proxyPassword + "@proxy.example.com:3128"
	laterPassword    = "another-pa55word-of-it-3355"
)

func (w *world) writeSecret(name string, values map[string]string, replace bool) {
	w.t.Helper()
	all := map[string][]byte{}
	for key, value := range values {
		all[key] = []byte(value)
	}
	if _, err := w.store.WriteNamedSecret(w.t.Context(), name, all, replace, time.Now()); err != nil {
		w.t.Fatal(err)
	}
}

// newSecretCluster is a cluster of n machines that refers to the secrets login and proxy.
func newSecretCluster(name string, n int) *api.Cluster {
	c := api.NewCluster(name, "uid-"+name, spec(n), nil, time.Now().UTC())
	c.Spec.RKE2.Registries = []api.Registry{
		{Host: "docker.io", Mirrors: []string{"https://mirror.example.com"}},
		{Host: "mirror.example.com", Secret: "login"}}
	c.Spec.RKE2.Env = []api.EnvVariable{{Name: "HTTPS_PROXY", Secret: "proxy", Key: "url"},
		{Name: "NO_PROXY", Value: ".corp.example.com"}}
	return c
}

func TestSecretsReachMachinesAndAreShownNowhere(t *testing.T) {
	w := newWorld(t)
	w.writeSecret("login", map[string]string{"username": "ci-robot", "password": registryPassword + "\n"}, false)
	w.writeSecret("proxy", map[string]string{"url": proxyURL}, false)
	created, err := w.store.CreateCluster(t.Context(), newSecretCluster("sealed", 2))
	if err != nil {
		t.Fatal(err)
	}
	w.cloud.BreakUnit("sky-sealed-1", "rke2-agent") // it prints the files that it has
	ref := w.create("sealed", 2, client.CreateOptions{})
	c := w.awaitFailed(ref)
	if log := strings.Join(c.Status.Failure.Log, "\n"); !strings.Contains(log, "[hidden]") {
		t.Errorf("the machine's files are not in its log: %s", log)
	}
	w.checkNoValueIsShown(created.Ref())

	w.cloud.BreakUnit("sky-sealed-1", "")
	w.writeSecret("login", map[string]string{"username": "ci-robot", "password": laterPassword}, true)
	w.create("sealed", 2, client.CreateOptions{})
	w.awaitReady(ref)
	for machine, unit := range map[string]string{"sky-sealed-0": "rke2-server", "sky-sealed-1": "rke2-agent"} {
		w.checkMachineFile(machine, "/etc/rancher/rke2/registries.yaml", "password: "+laterPassword+"\n",
			"username: ci-robot", "https://mirror.example.com")
		w.checkMachineFile(machine, "/etc/default/"+unit, `HTTPS_PROXY="`+proxyURL+`"`,
			"NO_PROXY=\".corp.example.com\"")
		w.checkMachineFile(machine, "/etc/rancher/rke2/skyctl-proxy.env", "HTTPS_PROXY="+proxyURL,
			".corp.example.com,", "10.43.0.0/16")
	}
	w.checkNoValueIsShown(ref)
	w.delete(ref, false)
	w.awaitGone(ref)
	w.nothingLeft(ref)
}

func (w *world) checkMachineFile(machine, path string, wanted ...string) {
	w.t.Helper()
	text, mode, err := w.cloud.ReadMachineFile(machine, path)
	if err != nil || mode != 0o600 {
		w.t.Errorf("%s of %s has mode %o: %v", path, machine, mode, err)
	}
	for _, want := range wanted {
		if !strings.Contains(text+"\n", want) {
			w.t.Errorf("%s of %s lacks %q:\n%s", path, machine, want, text)
		}
	}
}

// checkNoValueIsShown searches everything that is stored and shown of a cluster.
func (w *world) checkNoValueIsShown(ref api.Ref) {
	w.t.Helper()
	places := map[string]string{"the worker's log": logged.String()}
	for _, kv := range w.dump() {
		places[string(kv.key)] = string(kv.value)
	}
	for _, r := range w.closed(ref.Name) {
		places["the history "+r.id] = textOf(w.t, r.history)
	}
	c := w.get(ref)
	page := render.ClusterPage{Cluster: c, Now: time.Now()}
	places["describe"] = page.String()
	var yaml bytes.Buffer
	if err := render.WriteStructured(&yaml, render.AsYAML, c); err != nil {
		w.t.Fatal(err)
	}
	places["get -o yaml"] = yaml.String()
	events, err := w.ops.ListEvents(w.t.Context(), "")
	if err != nil {
		w.t.Fatal(err)
	}
	b, err := json.Marshal(events)
	if err != nil {
		w.t.Fatal(err)
	}
	places["the events"] = string(b)
	for where, text := range places {
		for _, value := range []string{registryPassword, proxyPassword, laterPassword} {
			if strings.Contains(text, value[:12]) || strings.Contains(text, value[8:]) || leaks(text, value) {
				w.t.Errorf("%s contains %s", where, value)
			}
		}
	}
	if !strings.Contains(places["describe"], "secret proxy, key url") ||
		!strings.Contains(places["get -o yaml"], "secret: login") {
		w.t.Errorf("the references are not shown:\n%s\n%s", places["describe"], places["get -o yaml"])
	}
}

func TestMissingSecretIsRefusedBeforeAnythingIsWritten(t *testing.T) {
	w := newWorld(t)
	w.writeSecret("proxy", map[string]string{"other": "x"}, false)
	_, err := w.ops.CreateCluster(t.Context(), newSecretCluster("unsealed", 1), client.CreateOptions{})
	want := map[string]string{"rke2.registries[mirror.example.com].secret": "skyctl create secret login",
		"rke2.env[HTTPS_PROXY].secret": "with the key url; it has other"}
	refused := api.FieldErrorsOf(err)
	for _, e := range refused {
		if !strings.Contains(e.Want, want[e.Field]) || want[e.Field] == "" {
			t.Error(e)
		}
	}
	if len(refused) != len(want) {
		t.Errorf("%v", err)
	}
	if clusters, err := w.store.ListClusters(t.Context()); err != nil || len(clusters) > 0 {
		t.Errorf("%v, %v", clusters, err)
	}
	var field *api.FieldError
	w.writeSecret("login", map[string]string{"username": "ci-robot"}, false)
	if err := w.ops.CheckSecretReferences(t.Context(), newSecretCluster("unsealed", 1).Spec); !errors.As(err, &field) ||
		!strings.Contains(field.Want, "username and password, or token; it has username") {
		t.Error(err)
	}
	w.writeSecret("login", map[string]string{"token": "x"}, true)
	w.writeSecret("proxy", map[string]string{"url": proxyURL}, true)
	if err := w.ops.CheckSecretReferences(t.Context(), newSecretCluster("unsealed", 1).Spec); err != nil {
		t.Error(err)
	}
}
