package api_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// exampleCA is the certificate that the declaration of the field shows.
func exampleCA(t *testing.T) string {
	t.Helper()
	for _, f := range api.FileFields() {
		if f.Path == "spec.rke2.registries.ca" {
			return f.Example
		}
	}
	t.Fatal("no field of that path")
	return ""
}

func TestInvalidConfigImagesAndCAsAreRefused(t *testing.T) {
	config := func(key string, values ...string) api.RKE2Settings {
		return api.RKE2Settings{Config: map[string]api.ConfigValue{key: values}}
	}
	images := func(all ...api.ImageArchive) api.RKE2Settings { return api.RKE2Settings{Images: all} }
	ca := func(host, text string) api.RKE2Settings {
		return api.RKE2Settings{Registries: []api.Registry{{Host: host, CA: text}}}
	}
	sum := strings.Repeat("0a", 32)
	for name, tt := range map[string]struct {
		given       api.RKE2Settings
		field, want string
	}{
		"a key of servers":    {config("kube-apiserver-arg", "a=1", "b=2"), "", ""},
		"a key of all":        {config("selinux", "true"), "", ""},
		"a profile on docker": {config("profile", "cis"), "rke2.config[profile]", "docker"},
		"kernel parameters on docker": {config("protect-kernel-defaults", "true"),
			"rke2.config[protect-kernel-defaults]", "docker"},
		"a profile without its parameters": {api.RKE2Settings{Config: map[string]api.ConfigValue{
			"profile": {"cis"}, "protect-kernel-defaults": {"false"}}},
			"rke2.config[protect-kernel-defaults]", "true"},
		"an unknown profile": {config("profile", "cis-1.6"), "rke2.config[profile]", "cis or etcd"},
		"an own key":         {config("token", "hunter2"), "rke2.config[token]", "secrets"},
		"the agent token":    {config("agent-token", "hunter2"), "rke2.config[agent-token]", "secrets"},
		"a key of S3":        {config("etcd-s3-secret-key", "hunter2"), "rke2.config[etcd-s3-secret-key]", "s3_url"},
		"the network plugin": {config("cni", "cilium"), "rke2.config[cni]", "network.cni"},
		"a misspelt key":     {config("proflie", "cis"), "rke2.config[proflie]", "profile"},
		"an own argument":    {config("kubelet-arg", "eviction-hard=x"), "rke2.config[kubelet-arg]", "another"},
		"a password":         {config("etcd-arg", "http://a:hunter2@b"), "rke2.config[etcd-arg]", "password"},
		"neither true nor false": {config("disable-kube-proxy", "maybe"), "rke2.config[disable-kube-proxy]",
			"true or false"},
		"a secret variable": {config("etcd-extra-env", "A=1", "AWS_SECRET_ACCESS_KEY=hunter2"),
			"rke2.config[etcd-extra-env]", "no secret"},
		"two lines":             {config("etcd-arg", "hunter\n2"), "rke2.config[etcd-arg]", "one line"},
		"no value":              {config("etcd-arg"), "rke2.config[etcd-arg]", "a value"},
		"an archive":            {images(api.ImageArchive{Path: "/srv/rke2-images.linux-amd64.tar.zst"}), "", ""},
		"an archive of the web": {images(api.ImageArchive{Path: "https://m.example.com/a.tar", SHA256: sum}), "", ""},
		"no sum of the web": {images(api.ImageArchive{Path: "https://m.example.com/a.tar"}),
			"rke2.images[https://m.example.com/a.tar].sha256", "64"},
		"a relative path": {images(api.ImageArchive{Path: "a.tar"}), "rke2.images.path", "absolute"},
		"plain http": {images(api.ImageArchive{Path: "http://m/a.tar", SHA256: sum}), "rke2.images.path",
			"https"},
		"no archive": {images(api.ImageArchive{Path: "/srv/images.txt"}), "rke2.images.path", ".tar"},
		"a sum that is not": {images(api.ImageArchive{Path: "/a.tar", SHA256: "x"}), "rke2.images[/a.tar].sha256",
			"64"},
		"one name twice": {images(api.ImageArchive{Path: "/a/i.tar"}, api.ImageArchive{Path: "/b/i.tar"}),
			"rke2.images.path", "once"},
		"a CA":           {ca("r.io", exampleCA(t)), "", ""},
		"two CAs":        {ca("r.io", exampleCA(t)+"\n"+exampleCA(t)), "", ""},
		"no CA":          {ca("r.io", "hunter2"), "rke2.registries[r.io].ca", "PEM"},
		"more than a CA": {ca("r.io", exampleCA(t)+"\nhunter2"), "rke2.registries[r.io].ca", "PEM"},
		"a CA of any":    {ca("*", exampleCA(t)), "rke2.registries[*].ca", "name the host"},
		"a private key": {ca("r.io", "-----BEGIN PRIVATE KEY-----\nMTI=\n-----END PRIVATE KEY-----"),
			"rke2.registries[r.io].ca", "PEM"},
		"a registry bare": {ca("r.io", ""), "rke2.registries[r.io]", "or a CA"},
	} {
		spec := withRKE2(nil, nil)
		spec.RKE2 = tt.given
		spec.SetDefaults()
		err := spec.Validate()
		var e *api.FieldError
		if tt.field == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if !errors.As(err, &e) || e.Field != tt.field || !strings.Contains(e.Want, tt.want) ||
			strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestProfilesThatTheGPUStackCannotLiveWithAreRefused(t *testing.T) {
	s := changeable().Spec
	s.Cloud = "aws"
	s.RKE2.Config = map[string]api.ConfigValue{"profile": {"cis"}}
	s.SetDefaults()
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
	s.Pools[0].Machine.Accelerators = "A100:1"
	s.SetDefaults()
	if err := s.Validate(); err == nil || !strings.Contains(err.Error(), "privileged pods") {
		t.Errorf("with a GPU stack: %v", err)
	}
	s.GPUStack = api.GPUStackNone
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
}

func TestStoredSpecKeepsConfigImagesAndCAs(t *testing.T) {
	s := withRKE2([]api.Registry{{Host: "r.io", CA: exampleCA(t) + "\n"}}, nil)
	s.RKE2.Config = map[string]api.ConfigValue{"debug": {"true"}, "disable": {"a", "b"}}
	s.RKE2.Images = []api.ImageArchive{{Path: "/srv/b.tar"}, {Path: "/srv/a.tar", SHA256: strings.Repeat("0A", 32)}}
	s.Network.CNI, s.Ingress, s.EnableServiceLB = "cilium", "none", new(true)
	s.SetDefaults()
	b, err := json.Marshal(s)
	if err != nil || !strings.Contains(string(b), `"config":{"debug":"true","disable":["a","b"]}`) ||
		!strings.Contains(string(b), `"images":[{"path":"/srv/a.tar","sha256":"0a0a`) ||
		!strings.Contains(string(b), `"network":{"cni":"cilium"}`) {
		t.Fatalf("%s, %v", b, err)
	}
	var back api.ClusterSpec
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(back, s) {
		t.Errorf("%+v, %v", back, err)
	}
	copied := s.Clone()
	copied.RKE2.Config["disable"][0], copied.RKE2.Images[0].Path, *copied.EnableServiceLB = "x", "x", false
	if !reflect.DeepEqual(back, s) {
		t.Error("a clone shares its values")
	}
	changed := &api.Cluster{Spec: s.Clone()}
	changed.Spec.RKE2.Config["disable"] = api.ConfigValue{`["a","b"]`}
	if diff := api.CompareClusters(&api.Cluster{Spec: s}, changed); len(diff) != 1 ||
		diff[0].Path != "spec.rke2.config[disable]" {
		t.Errorf("a text that looks like a list: %v", diff)
	}
}

func TestConfigValuesOfFilesBecomeTexts(t *testing.T) {
	var v map[string]api.ConfigValue
	err := json.Unmarshal([]byte(`{"a":true,"b":5,"c":["x",1,false],"d":"null"}`), &v)
	want := map[string]api.ConfigValue{"a": {"true"}, "b": {"5"}, "c": {"x", "1", "false"}, "d": {"null"}}
	if err != nil || !reflect.DeepEqual(v, want) {
		t.Errorf("%v, %v", v, err)
	}
	for _, bad := range []string{`{"a":null}`, `{"a":{}}`, `{"a":[[]]}`} {
		if err := json.Unmarshal([]byte(bad), &v); err == nil {
			t.Errorf("%s is read as %v", bad, v)
		}
	}
}

func TestIngressControllersThatAReleaseLacksAreRefused(t *testing.T) {
	for _, tt := range []struct{ version, ingress, want string }{
		{"v1.35.7+rke2r1", "traefik", ""}, {"v1.36.1+rke2r1", "ingress-nginx", ""}, {"", "ingress-nginx", ""},
		{"v1.37.0+rke2r1", "ingress-nginx", "traefik or none"}, {"v1.29.1+rke2r1", "none", "no choice"},
	} {
		s := good()
		s.KubernetesVersion, s.Ingress = tt.version, tt.ingress
		err := s.Validate()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s with %s: %v", tt.version, tt.ingress, err)
		}
	}
}

func TestServiceLBThatIsOffEqualsOneThatIsUnset(t *testing.T) {
	c := changeable()
	spec := c.Spec.Clone()
	spec.EnableServiceLB = new(false)
	if err := c.ChangeTo(spec, c.Metadata.Labels, time.Unix(2, 0)); err != nil {
		t.Error(err)
	}
	spec.EnableServiceLB = new(true)
	if err := c.ChangeTo(spec, c.Metadata.Labels, time.Unix(2, 0)); err == nil {
		t.Error("it changes on a cluster that exists")
	}
	s := api.GroupSpec{EnableServiceLB: new(false), NumNodes: 1}
	if flags := s.CreateFlags(); len(flags) == 0 || flags[len(flags)-1][0] != "enable_servicelb=false" {
		t.Errorf("the flags that create it again are %v", flags)
	}
}
