package api

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sky-shift/skyctl/pkg/rke2config"
)

// componentFields say which of its components RKE2 deploys.
func componentFields() []Field {
	oneOf := func(values []string) func(string) (string, bool) {
		return func(v string) (string, bool) { return strings.ToLower(v), slices.Contains(values, strings.ToLower(v)) }
	}
	return []Field{
		newTextField(Field{
			Change: neverChanges("pods get their addresses from it", anotherCluster),
			Name:   "cni", Label: "CNI", Flag: FlagText, Level: 7, Setting: "rke2.cni", Variable: "SKYCTL_RKE2_CNI",
			Example: "cilium", Invalid: "weave", Values: rke2config.CNIs,
			Help: "network plugin: " + strings.Join(rke2config.CNIs, ", ") + " (default " + rke2config.DefaultCNI + ")",
			Want: strings.Join(rke2config.CNIs[:len(rke2config.CNIs)-1], ", ") + ", or " + rke2config.None +
				": nodes are then Ready only once you have installed one",
		}, func(s *GroupSpec) *string { return &s.CNI }, oneOf(rke2config.CNIs)),
		newTextField(Field{
			Change: changesRKE2Settings,
			Name:   "ingress", Label: "Ingress", Flag: FlagText, Level: 7, Setting: "rke2.ingress",
			Variable: "SKYCTL_RKE2_INGRESS",
			Example:  "traefik", Invalid: "haproxy", Values: rke2config.IngressControllers,
			Help: "ingress controller, which takes the ports 80 and 443 of each node: traefik, ingress-nginx or none " +
				"(default: that of the release: ingress-nginx up to 1.35, traefik from 1.36 on)",
			Want: "traefik, ingress-nginx (retired upstream in March 2026) or none",
		}, func(s *GroupSpec) *string { return &s.Ingress }, oneOf(rke2config.IngressControllers)),
		serviceLBField(),
	}
}

// EncryptsPods reports whether skyctl can have a network plugin encrypt the traffic of pods.
func EncryptsPods(cni string) bool { return cni == "" || cni == rke2config.DefaultCNI }

// serviceLBField is a switch with a third state: unset leaves the choice to the settings.
func serviceLBField() Field {
	f := Field{
		Change: changesRKE2Settings, Type: TypeSwitch,
		Name: "enable_servicelb", Label: "ServiceLB", Flag: FlagSwitch, Level: 7, Setting: "rke2.enableServicelb",
		Variable: "SKYCTL_RKE2_ENABLE_SERVICELB", Example: "true", Invalid: "maybe",
		Help: "give Services of type LoadBalancer the addresses of the nodes, with RKE2's own ServiceLB",
		Want: "true or false",
	}
	f.set = func(s *GroupSpec, values []string) error {
		if s.EnableServiceLB = nil; len(values) == 0 {
			return nil
		}
		on, err := strconv.ParseBool(strings.Join(values, ","))
		if err != nil {
			return f.newError(strings.Join(values, ","))
		}
		s.EnableServiceLB = &on
		return nil
	}
	f.text = func(s GroupSpec) string {
		if s.EnableServiceLB == nil {
			return ""
		}
		return strconv.FormatBool(*s.EnableServiceLB)
	}
	f.show = func(s GroupSpec) string {
		if s.EnableServiceLB == nil || !*s.EnableServiceLB {
			return ""
		}
		return "enabled"
	}
	f.isEqual = func(a, b string) bool { return (a == "true") == (b == "true") }
	return f
}

// checkIngressOfRelease refuses what the release does not ship. RKE2 would not start.
func checkIngressOfRelease(s GroupSpec) *FieldError {
	if s.Ingress == "" || !IsKubernetesVersion(s.KubernetesVersion) ||
		!slices.Contains(rke2config.IngressControllers, s.Ingress) {
		return nil // the fields' own checks name it, or the release is not known yet
	}
	accepted := rke2config.IngressControllersOf(s.KubernetesVersion)
	if slices.Contains(accepted, s.Ingress) {
		return nil
	}
	want := strings.Join(accepted, " or ") + ": " + s.KubernetesVersion + " ships no other ingress controller"
	if len(accepted) == 0 {
		want = "the field left out: " + s.KubernetesVersion + " leaves no choice; from v1.31 on there is one"
	}
	return &FieldError{Field: "ingress", Value: s.Ingress, Want: want}
}
