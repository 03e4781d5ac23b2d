package api

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

const (
	// DefaultDrainTimeout is how long pods may take to leave a machine if its pool sets nothing.
	DefaultDrainTimeout = Duration(15 * time.Minute)
	// DefaultMaxUnavailable is how many machines of a pool are replaced at the same time if it sets nothing.
	DefaultMaxUnavailable = 1
	// maxPoolNameLength leaves room in labels and workflow ids.
	maxPoolNameLength = 40
)

// taintEffects are the effects of taints:
// https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
var taintEffects = []string{"NoSchedule", "PreferNoSchedule", "NoExecute"}

const wantPoolName = "lower-case letters, digits and '-', beginning with a letter and ending with a letter or digit, " +
	"such as gpu"

// ValidatePoolName checks the name of a pool. Its error is a *FieldError.
func ValidatePoolName(name string) error {
	switch {
	case len(name) > maxPoolNameLength:
		return &FieldError{Field: "pool", Value: name,
			Want: fmt.Sprintf("at most %d characters; it has %d", maxPoolNameLength, len(name))}
	case len(validation.IsDNS1035Label(name)) > 0:
		return &FieldError{Field: "pool", Value: name, Want: wantPoolName}
	}
	return nil
}

// validatePool checks what a pool says besides its machine spec.
func validatePool(p Pool, errs *fieldErrors) {
	errs.addError(ValidatePoolName(p.Name))
	errs.addError(checkReplicas(p))
	for _, key := range slices.Sorted(maps.Keys(p.Labels)) {
		if want := checkPoolLabel(key, p.Labels[key]); want != "" {
			errs.addField("labels", key+"="+p.Labels[key], want)
		}
	}
	validateTaints(p.Taints, errs)
	switch {
	case p.SpotFallback != SpotFallbackWait && p.SpotFallback != SpotFallbackOnDemand:
		errs.addField("spot_fallback", p.SpotFallback,
			"on_demand: machines at the full price if the cloud has no spot machine (default: wait for one)")
	case p.SpotFallback != SpotFallbackWait && !p.Machine.UseSpot:
		errs.addField("spot_fallback", p.SpotFallback, "only with --use_spot: the pool has no spot machines")
	}
	if p.MaxUnavailable < 0 {
		errs.addField("max_unavailable", strconv.Itoa(p.MaxUnavailable), "a whole number of machines from 1")
	}
	if p.DrainTimeout < 0 {
		errs.addField("drain_timeout", p.DrainTimeout.String(), "a duration above 0, such as 15m")
	}
}

func checkReplicas(p Pool) error {
	newError := func(field string, value int, want string) error {
		return &FieldError{Field: field, Value: strconv.Itoa(value), Want: want}
	}
	switch {
	case p.MinReplicas < 0:
		return newError("min_replicas", p.MinReplicas, "a whole number of machines from 0")
	case p.MaxReplicas < 0:
		return newError("max_replicas", p.MaxReplicas, "a whole number of machines from 1, or 0 for no bound")
	case p.MaxReplicas > 0 && p.MaxReplicas < p.MinReplicas:
		return newError("max_replicas", p.MaxReplicas, fmt.Sprintf("at least min_replicas, which is %d", p.MinReplicas))
	case p.Replicas < 0:
		return newError("replicas", p.Replicas, "a whole number of machines from 0")
	case p.Replicas < p.MinReplicas:
		return newError("replicas", p.Replicas,
			fmt.Sprintf("at least %d, the min_replicas of pool %s", p.MinReplicas, p.Name))
	case p.MaxReplicas > 0 && p.Replicas > p.MaxReplicas:
		return newError("replicas", p.Replicas,
			fmt.Sprintf("at most %d, the max_replicas of pool %s", p.MaxReplicas, p.Name))
	}
	return nil
}

// checkPoolLabel returns what would be valid, or nothing.
func checkPoolLabel(key, value string) string {
	if want := checkLabel(key, value); want != "" {
		return want
	}
	if owner := LabelKeyOwner(key); owner != "" {
		return "a key of your own, such as tier or example.com/tier: keys of this domain belong to " + owner
	}
	return ""
}

// LabelKeyOwner names who owns the domain of a label's or taint's key; empty if people may use it on Nodes. The kubelet
// is not allowed to set most labels of Kubernetes' own domains on its Node:
// https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction
func LabelKeyOwner(key string) string {
	domain, _, qualified := strings.Cut(key, "/")
	if !qualified {
		return ""
	}
	owners := []struct{ domain, owner string }{
		{"kubernetes.io", "Kubernetes"}, {"k8s.io", "Kubernetes"}, {"rke2.io", "RKE2"}, {"k3s.io", "RKE2"},
		{"cattle.io", "RKE2"}, {labelDomain, "skyctl"},
	}
	for _, o := range owners {
		if domain == o.domain || strings.HasSuffix(domain, "."+o.domain) {
			return o.owner
		}
	}
	return ""
}

// labelDomain is the domain of skyctl's own labels on Nodes.
const labelDomain = "skyctl.sky-shift.org"

// NodeLabelPool is the label of a Node with the name of its pool.
const NodeLabelPool = labelDomain + "/pool"

func validateTaints(taints []string, errs *fieldErrors) {
	seen := map[string]string{} // by key and effect
	for _, text := range taints {
		t, want := parseTaint(text)
		if want != "" {
			errs.addField("taints", text, want)
			continue
		}
		identity := t.key + ":" + t.effect
		if before, twice := seen[identity]; twice {
			errs.addField("taints", text, "each key once for an effect; "+before+" was given too")
		}
		seen[identity] = text
	}
}

// taint is a parsed taint.
type taint struct{ key, value, effect string }

// parseTaint returns a taint, or what would be valid.
func parseTaint(text string) (taint, string) {
	const example = "KEY=VALUE:EFFECT, such as nvidia.com/gpu=present:NoSchedule"
	rest, effect, ok := strings.Cut(text, ":")
	if !ok || !slices.Contains(taintEffects, effect) {
		return taint{}, example + "; the effect is one of " + strings.Join(taintEffects, ", ")
	}
	key, value, _ := strings.Cut(rest, "=")
	if checkLabel(key, value) != "" {
		return taint{}, example
	}
	if owner := LabelKeyOwner(key); owner != "" {
		return taint{}, "a key of your own, such as dedicated: keys of this domain belong to " + owner
	}
	return taint{key, value, effect}, ""
}
