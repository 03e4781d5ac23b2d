package kubeconfig

import (
	"strings"
	"testing"
)

func TestContextIsAllowedInSkyPilotAndForbiddenWithoutATrace(t *testing.T) {
	for _, c := range []struct{ text, current, want, named string }{
		{"", "kind", "kubernetes:\n  allowed_contexts:\n    - kind\n    - skyctl-dev\n", "kind skyctl-dev"},
		{"", "", "kubernetes:\n  allowed_contexts:\n    - skyctl-dev\n", "skyctl-dev"},
		{"", "skyctl-dev", "", ""},
		{"kubernetes:\n  allowed_contexts: all\n", "kind", "kubernetes:\n  allowed_contexts: all\n", ""},
		{"kubernetes:\n  allowed_contexts:\n    - a # mine\n  ports: ingress\n", "kind",
			"kubernetes:\n  allowed_contexts:\n    - skyctl-dev\n    - a # mine\n  ports: ingress\n", "skyctl-dev a"},
		{"kubernetes: # k\n  ports: ingress\naws: {}\n", "kind",
			"kubernetes: # k\n  allowed_contexts:\n    - kind\n    - skyctl-dev\n  ports: ingress\naws: {}\n",
			"kind skyctl-dev"},
		{"kubernetes:\n  allowed_contexts: [a, b]\n", "kind",
			"kubernetes:\n  allowed_contexts: [\"skyctl-dev\", a, b]\n", "skyctl-dev a b"},
		{"api_server:\n  endpoint: https://sky.example.com\n", "kind",
			"api_server:\n  endpoint: https://sky.example.com\n", ""},
	} {
		got, named, allowed, err := AllowContext([]byte(c.text), "skyctl-dev", c.current)
		if err != nil || string(got) != c.want || strings.Join(named, " ") != c.named ||
			allowed == strings.Contains(c.text, "endpoint") {
			t.Errorf("%q: %q, %q, %v, %v", c.text, got, named, allowed, err)
		}
		left, err := ForbidContext(got, []byte(c.text), "skyctl-dev", c.current)
		if err != nil || string(left) != c.text {
			t.Errorf("%q: left is %q, %v", c.text, left, err)
		}
	}
	for _, text := range []string{"kubernetes: text\n", "a: 1\n---\n", "kubernetes:\n  allowed_contexts: some\n"} {
		if got, _, _, err := AllowContext([]byte(text), "skyctl-dev", "kind"); err == nil {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestContextsThatWereAddedMeanwhileStay(t *testing.T) {
	text := "kubernetes:\n  allowed_contexts:\n    - kind\n    - mine\n    - skyctl-dev\n"
	left, err := ForbidContext([]byte(text), nil, "skyctl-dev", "kind")
	if want := "kubernetes:\n  allowed_contexts:\n    - kind\n    - mine\n"; err != nil || string(left) != want {
		t.Errorf("left is %q, %v", left, err)
	}
}
