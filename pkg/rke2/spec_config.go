package rke2

import (
	"maps"
	"slices"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/rke2config"
)

// renderComponents renders which of its components the server deploys. What is empty is left to RKE2.
func renderComponents(n Node) map[string]any {
	c := map[string]any{}
	if n.CNI != "" {
		c["cni"] = n.CNI
	}
	if n.Ingress != "" {
		c["ingress-controller"] = n.Ingress
	}
	if n.ServiceLB {
		c["enable-servicelb"] = true
	}
	return c
}

// addSpecConfig adds the keys that the spec gives RKE2 to a configuration. A key that skyctl sets keeps skyctl's value,
// and values of rke2config.MergedKeys come after skyctl's. Keys that the role does not know are left out: RKE2 would
// warn of them.
func addSpecConfig(c map[string]any, n Node) {
	isKnown := rke2config.IsAgentKey
	if n.Role == api.RoleHead {
		isKnown = rke2config.IsServerKey
	}
	for _, key := range slices.Sorted(maps.Keys(n.Config)) {
		if !isKnown(key) || rke2config.CheckKey(key) != "" {
			continue
		}
		values := slices.DeleteFunc(slices.Clone(n.Config[key]), func(value string) bool {
			return rke2config.CheckValue(key, value) != ""
		})
		own, isSet := c[key].([]string)
		switch {
		case len(values) == 0:
		case isSet && slices.Contains(rke2config.MergedKeys, key):
			c[key] = appendNew(own, values)
		case c[key] != nil:
		case len(values) == 1:
			c[key] = values[0]
		default:
			c[key] = []string(values)
		}
	}
}

// appendNew appends the values that a list does not have.
func appendNew(list, values []string) []string {
	list = slices.Clone(list)
	for _, v := range values {
		if !slices.Contains(list, v) {
			list = append(list, v)
		}
	}
	return list
}
