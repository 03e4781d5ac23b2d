package preflight

import (
	"slices"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestNamesThatAMachineHasToResolve(t *testing.T) {
	release := &api.Artifacts{Version: "v1.35.7+rke2r1"}
	airGap := &api.Artifacts{Version: "v1.35.7+rke2r1",
		Images: []api.PinnedImages{{From: "/srv/rke2-images.linux-amd64.tar.zst"}}}
	own := &api.Artifacts{Version: "v1.35.7+rke2r1", Images: []api.PinnedImages{{From: "/srv/shop.tar"}}}
	mirrored := func(host string, mirrors ...string) api.RKE2Settings {
		return api.RKE2Settings{Registries: []api.Registry{{Host: host, Mirrors: mirrors}}}
	}
	private := mirrored("quay.io", "https://unused.example.com")
	private.Config = map[string]api.ConfigValue{"system-default-registry": {"registry.example.com:5000"}}
	for name, c := range map[string]struct {
		pinned   *api.Artifacts
		settings api.RKE2Settings
		want     []string
	}{
		"nothing pinned yet": {nil, api.RKE2Settings{}, nil},
		"the release":        {release, api.RKE2Settings{}, []string{"registry-1.docker.io"}},
		"images of its own":  {own, api.RKE2Settings{}, []string{"registry-1.docker.io"}},
		"an air gap":         {airGap, api.RKE2Settings{}, nil},
		"a kit":              {&api.Artifacts{Version: "v1.35.7+rke2r1-kit"}, api.RKE2Settings{}, nil},
		"mirrors": {release, mirrored("docker.io", "https://a.example.com/v2", "http://10.0.0.9:5000"),
			[]string{"a.example.com"}},
		"a mirror of all":        {release, mirrored("*", "https://all.example.com"), []string{"all.example.com"}},
		"an address alone":       {release, mirrored("docker.io", "http://10.0.0.9:5000"), nil},
		"another registry":       {release, private, []string{"registry.example.com"}},
		"credentials, no mirror": {release, mirrored("docker.io"), []string{"registry-1.docker.io"}},
	} {
		if got := ListRegistries(c.pinned, c.settings); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
