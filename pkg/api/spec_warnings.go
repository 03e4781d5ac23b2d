package api

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
)

// The checks of a spec, as its warnings name them.
const (
	checkPlainRegistry = "PlainRegistry"
	checkSELinux       = "SELinux"
	checkBastion       = "Bastion"
)

// FindWarnings returns what a valid spec has that may do harm.
func (s ClusterSpec) FindWarnings() []Finding {
	var found []Finding
	for _, r := range s.RKE2.Registries {
		for _, m := range r.Mirrors {
			if u, err := url.Parse(m); err == nil && u.Scheme == "http" {
				found = append(found, s.warnOfPlainMirror(r, m, u.Host))
			}
		}
	}
	if slices.ContainsFunc(s.RKE2.Config["selinux"], isTrue) {
		found = append(found, Finding{Check: checkSELinux, Severity: FindingWarning,
			Message: "rke2.config[selinux] is true, which has no effect: skyctl does not install the policy of " +
				"rke2-selinux, and refuses machines that enforce SELinux",
			Fix: "leave the key out"})
	}
	if s.SSH.HasBastion() && s.APIAccess != APITunnel {
		found = append(found, Finding{Check: checkBastion, Severity: FindingWarning,
			Message: "machines are reached through the bastion " + s.SSH.ProxyJump +
				", but skyd and kubectl reach the Kubernetes API directly",
			Fix: "if they cannot, set api_access to tunnel: the API is then reached over SSH"})
	}
	return found
}

// warnOfPlainMirror warns of a mirror whose images, and credentials if it has any, everybody on the way can read and
// change.
func (s ClusterSpec) warnOfPlainMirror(r Registry, mirror, host string) Finding {
	what := "images"
	if slices.ContainsFunc(s.RKE2.Registries, func(o Registry) bool { return o.Host == host && o.Secret != "" }) {
		what = "images and the credentials of rke2.registries[" + host + "]"
	}
	return Finding{Check: checkPlainRegistry, Severity: FindingWarning,
		Message: fmt.Sprintf("%s.mirrors has %s: %s travel unencrypted, and everybody on the way can change them",
			registryPath(r), mirror, what),
		Fix: "use https://, with the mirror's CA under its own host if needed"}
}

func isTrue(text string) bool {
	on, err := strconv.ParseBool(text)
	return err == nil && on
}
