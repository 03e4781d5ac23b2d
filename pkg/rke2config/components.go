package rke2config

import (
	"slices"

	"github.com/sky-shift/skyctl/pkg/release"
)

// None deploys no component.
const None = "none"

// The ingress controllers that RKE2 ships.
const (
	Traefik      = "traefik"
	IngressNginx = "ingress-nginx"
)

// DefaultCNI is the network plugin of RKE2 if the configuration names none.
const DefaultCNI = "canal"

// CNIs are the network plugins that RKE2 ships (rancher/rke2, pkg/cli/types.go: CNIItems, the same in release-1.34,
// release-1.35 and release-1.36).
var CNIs = []string{DefaultCNI, "cilium", "calico", "flannel", None}

// IngressControllers are the values of the key ingress-controller in any release.
var IngressControllers = []string{Traefik, IngressNginx, None}

// oldestChoice is the oldest minor version of Kubernetes 1 all of whose releases of RKE2 know ingress-controller (tags
// v1.28.12 and v1.31.0 of rancher/rke2 have it first; older ones only ship ingress-nginx).
const oldestChoice = 31

// DefaultIngress is the ingress controller that a release deploys on a new cluster if the configuration names none:
// ingress-nginx up to 1.35 and Traefik from 1.36 on (rancher/rke2, pkg/cli/cmds/server.go in release-1.35: Value
// ingress-nginx; release-1.36: none, and pkg/bootstrap/bootstrap.go takes the first of IngressItems, traefik, unless a
// chart of another one is installed). It is empty if the version is invalid, or too old for the key.
func DefaultIngress(version string) string {
	v, err := release.Parse(version)
	switch {
	case err != nil || !v.IsAtLeast(1, oldestChoice):
		return ""
	case v.IsAtLeast(1, 36):
		return Traefik
	}
	return IngressNginx
}

// IngressControllersOf are the values that a release accepts; none if it does not know the key. The notes of release
// 1.36 say that 1.37 has no ingress-nginx any more (docs.rke2.io/release-notes/v1.36.X, "Future Removal").
func IngressControllersOf(version string) []string {
	v, err := release.Parse(version)
	switch {
	case err != nil || !v.IsAtLeast(1, oldestChoice):
		return nil
	case v.IsAtLeast(1, 37):
		return []string{Traefik, None}
	}
	return slices.Clone(IngressControllers)
}
