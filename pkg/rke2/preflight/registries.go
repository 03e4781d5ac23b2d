package preflight

import (
	"net"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

const (
	// defaultRegistry has the images of RKE2, and dockerHubHost is where it answers.
	defaultRegistry = "docker.io"
	dockerHubHost   = "registry-1.docker.io"
	// registryKey is the key of RKE2's configuration that names another one.
	registryKey = "system-default-registry"
)

// ListRegistries returns the names of the hosts from which a machine pulls RKE2's images: those of the mirrors, or else
// that of the registry. There are none if the images come in archives, or if a kit has none. Names of a mirror that is
// an address need not be resolved.
func ListRegistries(a *api.Artifacts, settings api.RKE2Settings) []string {
	if a == nil || isKit(a.Version) || slices.ContainsFunc(a.Images, IsRKE2Archive) {
		return nil
	}
	registry := defaultRegistry
	if given := settings.Config[registryKey]; len(given) > 0 && given[0] != "" {
		registry = given[0]
	}
	var hosts []string
	for _, host := range []string{registry, "*"} {
		for _, r := range settings.Registries {
			if r.Host == host && len(hosts) == 0 {
				hosts = mirrorHosts(r.Mirrors)
			}
		}
	}
	if len(hosts) == 0 {
		hosts = []string{hostOf("//" + registry)}
	}
	return slices.DeleteFunc(hosts, func(host string) bool { return host == "" || net.ParseIP(host) != nil })
}

func mirrorHosts(mirrors []string) []string {
	var hosts []string
	for _, m := range mirrors {
		hosts = append(hosts, hostOf(m))
	}
	return hosts
}

// hostOf returns the host of a URL without its port; "" if it has none.
func hostOf(address string) string {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return ""
	case u.Hostname() == defaultRegistry:
		return dockerHubHost
	}
	return u.Hostname()
}

// IsRKE2Archive reports whether an archive has RKE2's own images (docs.rke2.io/install/airgap).
func IsRKE2Archive(images api.PinnedImages) bool {
	return strings.HasPrefix(path.Base(images.From), "rke2-images")
}
