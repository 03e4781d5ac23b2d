package venv

import (
	"slices"
	"testing"
)

func TestSkyPilotReachesLoopbackWithoutAProxy(t *testing.T) {
	const here = "localhost,127.0.0.1,::1,169.254.169.254,metadata.google.internal"
	for name, tt := range map[string]struct{ env, want []string }{
		"no proxy": {[]string{"A=b", "NO_PROXY=x"}, []string{"A=b", "NO_PROXY=x"}},
		"a proxy": {[]string{"HTTPS_PROXY=http://p:1", "A=b"},
			[]string{"HTTPS_PROXY=http://p:1", "A=b", "NO_PROXY=" + here, "no_proxy=" + here}},
		"with exceptions": {[]string{"http_proxy=http://p:1", "no_proxy=.corp, localhost", "NO_PROXY=.corp,10.0.0.0/8"},
			[]string{"http_proxy=http://p:1", "NO_PROXY=.corp,localhost,10.0.0.0/8" + here[len("localhost"):],
				"no_proxy=.corp,localhost,10.0.0.0/8" + here[len("localhost"):]}},
		"with none proxied": {[]string{"all_proxy=http://p:1", "no_proxy=*"},
			[]string{"all_proxy=http://p:1", "NO_PROXY=*", "no_proxy=*"}},
	} {
		if got := bypassLocalProxy(tt.env); !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n got %q\nwant %q", name, got, tt.want)
		}
	}
	t.Setenv("HTTPS_PROXY", "http://p:1")
	t.Setenv("no_proxy", "")
	if env := (Environment{}).Variables(); !slices.Contains(env, "no_proxy="+here) {
		t.Errorf("SkyPilot's environment is %q", env)
	}
}
