package api_test

import (
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestBastionWithoutATunnelIsWarnedOf(t *testing.T) {
	for _, c := range []struct {
		jump, access string
		warned       bool
	}{{"j@b:22", "", true}, {"j@b:22", api.APITunnel, false}, {api.ProxyJumpNone, "", false}, {"", "", false}} {
		spec := api.ClusterSpec{APIAccess: c.access, SSH: api.SSHAccess{ProxyJump: c.jump}}
		found := spec.FindWarnings()
		if len(found) > 0 != c.warned || c.warned && !strings.Contains(found[0].String(), "the bastion j@b:22, but") {
			t.Errorf("%+v: got %v", c, found)
		}
	}
}

func TestHarmfulSettingsAreWarnedOf(t *testing.T) {
	plain := api.Registry{Host: "docker.io", Mirrors: []string{"https://a.io", "http://m.io:5000"}}
	for _, tt := range []struct {
		name  string
		given api.RKE2Settings
		want  string
	}{
		{"nothing", api.RKE2Settings{Config: map[string]api.ConfigValue{"selinux": {"false"}},
			Registries: []api.Registry{{Host: "docker.io", Mirrors: []string{"https://m.io"}}}}, ""},
		{"SELinux", api.RKE2Settings{Config: map[string]api.ConfigValue{"selinux": {"true"}}}, "leave the key out"},
		{"a plain mirror", api.RKE2Settings{Registries: []api.Registry{plain}},
			"rke2.registries[docker.io].mirrors has http://m.io:5000: images travel"},
		{"with credentials", api.RKE2Settings{Registries: []api.Registry{plain, {Host: "m.io:5000", Secret: "s"}}},
			"the credentials of rke2.registries[m.io:5000]"},
	} {
		found := api.ClusterSpec{RKE2: tt.given}.FindWarnings()
		if tt.want == "" && len(found) == 0 {
			continue
		}
		if len(found) != 1 || tt.want == "" || !strings.Contains(found[0].String(), tt.want) ||
			found[0].Severity != api.FindingWarning {
			t.Errorf("%s: got %v", tt.name, found)
		}
	}
}
