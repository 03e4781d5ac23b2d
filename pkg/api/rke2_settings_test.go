package api_test

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// withRKE2 is a valid spec with registries and variables.
func withRKE2(registries []api.Registry, env []api.EnvVariable) api.ClusterSpec {
	s := changeable().Spec
	s.Cloud, s.Region = "docker", ""
	s.RKE2.Registries, s.RKE2.Env = registries, env
	s.SetDefaults()
	return s
}

func TestInvalidRegistriesAndVariablesAreRefused(t *testing.T) {
	registry := func(r api.Registry) api.ClusterSpec { return withRKE2([]api.Registry{r}, nil) }
	env := func(v api.EnvVariable) api.ClusterSpec { return withRKE2(nil, []api.EnvVariable{v}) }
	for _, tt := range []struct {
		field, want string
		spec        api.ClusterSpec
	}{
		{"", "", registry(api.Registry{Host: "r.example.com:5000", Secret: "login"})},
		{"", "", registry(api.Registry{Host: "*", Mirrors: []string{"https://m.example.com/v2"}})},
		{"", "", registry(api.Registry{Host: "docker.io", Mirrors: []string{"http://10.0.0.7:5000"}, Secret: "login"})},
		{"rke2.registries.host", "the host of", registry(api.Registry{Host: "https://r.example.com", Secret: "login"})},
		{"rke2.registries.host", "the host of", registry(api.Registry{Secret: "login"})},
		{"rke2.registries.host", "the host of", registry(api.Registry{Host: "r.io:99999", Secret: "login"})},
		{"", "", registry(api.Registry{Host: "r.io:65535", Secret: "login"})},
		{"rke2.registries[r.io].mirrors", "the URL", registry(api.Registry{Host: "r.io",
			Mirrors: []string{"https://m.io:99999"}})},
		{"rke2.registries[r.io].mirrors", "the URL", registry(api.Registry{Host: "r.io",
			Mirrors: []string{"https://:5000"}})},
		{"rke2.registries[r.io]", "mirrors, a secret with the credentials, or a CA",
			registry(api.Registry{Host: "r.io"})},
		{"rke2.registries[*].secret", "name the host", registry(api.Registry{Host: "*", Secret: "login"})},
		{"rke2.registries[r.io].secret", "name of a secret", registry(api.Registry{Host: "r.io", Secret: "Log in"})},
		{"rke2.registries[r.io].mirrors", "URL", registry(api.Registry{Host: "r.io", Mirrors: []string{"m.io"}})},
		{"rke2.registries[r.io].mirrors", "without a name", registry(api.Registry{Host: "r.io",
			Mirrors: []string{"https://ann:hunter2222@m.io"}})},
		{"rke2.registries.host", "once", withRKE2([]api.Registry{{Host: "r.io", Secret: "a"},
			{Host: "r.io", Secret: "b"}}, nil)},
		{"", "", env(api.EnvVariable{Name: "HTTPS_PROXY", Value: "http://proxy:3128"})},
		{"", "", env(api.EnvVariable{Name: "https_proxy", Secret: "proxy", Key: "url"})},
		{"rke2.env[EMPTY]", "a value, or the secret", env(api.EnvVariable{Name: "EMPTY"})},
		{"", "", env(api.EnvVariable{Name: "NO_PROXY", Value: "a.example.com,10.9.0.0/16"})},
		{"rke2.env[HTTPS_PROXY].value", "skyctl create secret", env(api.EnvVariable{Name: "HTTPS_PROXY",
			Value: "http://ann:hunter2222@proxy:3128"})},
		{"rke2.env[HTTPS_PROXY].value", "skyctl create secret", env(api.EnvVariable{Name: "HTTPS_PROXY",
			Value: "ann:hunter2222@proxy:3128"})},
		{"rke2.env[API_TOKEN].value", "skyctl create secret", env(api.EnvVariable{Name: "API_TOKEN",
			Value: "hunter2222"})},
		{"rke2.env[A].value", "one line", env(api.EnvVariable{Name: "A", Value: "a\nb"})},
		{"rke2.env[A].value", "left out", env(api.EnvVariable{Name: "A", Value: "hunter2222", Secret: "s", Key: "k"})},
		{"rke2.env[A].key", "key of a secret", env(api.EnvVariable{Name: "A", Secret: "s"})},
		{"rke2.env[A].secret", "has the key k", env(api.EnvVariable{Name: "A", Key: "k"})},
		{"rke2.env.name", "letters", env(api.EnvVariable{Name: "1A", Value: "x"})},
		{"rke2.env.name", "neither skyctl", env(api.EnvVariable{Name: "RKE2_TOKEN", Value: "x"})},
		{"rke2.env.name", "neither skyctl", env(api.EnvVariable{Name: "PATH", Value: "x"})},
		{"rke2.env.name", "once", withRKE2(nil, []api.EnvVariable{{Name: "A", Value: "1"}, {Name: "A", Value: "2"}})},
	} {
		err := tt.spec.Validate()
		var e *api.FieldError
		if tt.field == "" {
			if err != nil {
				t.Errorf("%+v: %v", tt.spec.RKE2, err)
			}
			continue
		}
		if !errors.As(err, &e) || e.Field != tt.field || !strings.Contains(e.Want, tt.want) ||
			strings.Contains(err.Error(), "hunter") {
			t.Errorf("%+v: %v", tt.spec.RKE2, err)
		}
	}
}

func TestRegistriesAndVariablesNeverChange(t *testing.T) {
	c := changeable()
	spec := c.Spec.Clone()
	spec.RKE2.Env = []api.EnvVariable{{Name: "HTTPS_PROXY", Value: "http://proxy:3128"}}
	spec.RKE2.Registries = []api.Registry{{Host: "r.io", Secret: "login"}}
	err := c.ChangeTo(spec, c.Metadata.Labels, time.Unix(2, 0))
	var fields []string
	for _, e := range api.FieldErrorsOf(err) {
		fields = append(fields, e.Field)
	}
	want := []string{"spec.rke2.registries[r.io].host", "spec.rke2.registries[r.io].secret",
		"spec.rke2.env[HTTPS_PROXY].name", "spec.rke2.env[HTTPS_PROXY].value"}
	if !slices.Equal(fields, want) || !strings.Contains(err.Error(), "RKE2 reads it as it starts") {
		t.Errorf("%v", err)
	}
}

// TestRKE2SettingsDifferExactlyIfTheirNormalFormsDo compares random pairs.
func TestRKE2SettingsDifferExactlyIfTheirNormalFormsDo(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(all ...string) string { return all[r.IntN(len(all))] }
	random := func() api.ClusterSpec {
		var registries []api.Registry
		var env []api.EnvVariable
		for _, host := range []string{"b.io", "a.io"} {
			if r.IntN(2) == 0 {
				registries = append(registries, api.Registry{Host: host, Secret: pick("", "s")})
				if n := &registries[len(registries)-1]; n.Secret == "" || r.IntN(2) == 0 {
					n.Mirrors = []string{pick("https://x", "https://y")}
				}
			}
		}
		for _, name := range []string{"B", "A"} {
			if r.IntN(2) == 0 {
				env = append(env, api.EnvVariable{Name: name, Value: pick("", "1")})
			}
		}
		if r.IntN(2) == 0 {
			slices.Reverse(registries)
			slices.Reverse(env)
		}
		return withRKE2(registries, env)
	}
	equal := 0
	for range 600 {
		a, b := &api.Cluster{Spec: random()}, &api.Cluster{Spec: random()}
		diff := api.CompareClusters(a, b)
		if same := reflect.DeepEqual(a.Spec, b.Spec); same != (len(diff) == 0) {
			t.Fatalf("%+v\n%+v\n%v", a.Spec.RKE2, b.Spec.RKE2, diff)
		} else if same {
			equal++
		}
	}
	if equal < 3 {
		t.Errorf("only %d pairs are equal", equal)
	}
}

func TestStoredSpecKeepsRegistriesAndVariables(t *testing.T) {
	s := withRKE2([]api.Registry{{Host: "r.io", Mirrors: []string{"https://m"}, Secret: "login"}},
		[]api.EnvVariable{{Name: "A", Secret: "s", Key: "k"}, {Name: "B", Value: "1"}})
	s.RKE2.Source = "release"
	b, err := json.Marshal(s)
	if err != nil || !strings.Contains(string(b), `"rke2":{"source":"release","registries":[{"host":"r.io"`) {
		t.Fatalf("%s, %v", b, err)
	}
	var back api.ClusterSpec
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(back, s) {
		t.Errorf("%+v, %v", back, err)
	}
	if got := back.SecretNames(); !slices.Equal(got, []string{"login", "s"}) {
		t.Errorf("it refers to %v", got)
	}
	copied := s.Clone()
	copied.RKE2.Registries[0].Mirrors[0], copied.RKE2.Env[0].Key = "https://other", "other"
	if !reflect.DeepEqual(back, s) {
		t.Error("a clone shares its lists")
	}
}
