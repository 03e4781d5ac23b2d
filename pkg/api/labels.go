package api

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// The syntax of labels is Kubernetes' own:
// https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
var (
	labelName   = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)
	labelPrefix = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
)

const (
	wantLabelKey = "a key of at most 63 letters, digits, '-', '_' and '.' that begins and ends with a letter or " +
		"digit, such as team or example.com/team"
	wantLabelValue = "a value of at most 63 letters, digits, '-', '_' and '.' that begins and ends with a letter or " +
		"digit, or an empty one"
)

// ParseLabels reads the values of --labels, each as key=value. Its errors are *FieldErrorsOf, joined.
func ParseLabels(values []string) (map[string]string, error) {
	labels := map[string]string{}
	var errs fieldErrors
	for _, s := range values {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			errs.addField("labels", s, "key=value, such as team=ml")
			continue
		}
		if want := checkLabel(key, value); want != "" {
			errs.addField("labels", s, want)
			continue
		}
		if before, twice := labels[key]; twice && before != value {
			errs.addField("labels", s, "each key once; "+key+"="+before+" was given too")
			continue
		}
		labels[key] = value
	}
	if err := errs.joinErrors(); err != nil {
		return nil, err
	}
	if len(labels) == 0 {
		return nil, nil
	}
	return labels, nil
}

func validateLabels(labels map[string]string, errs *fieldErrors) {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if want := checkLabel(key, labels[key]); want != "" {
			errs.addField("labels", key+"="+labels[key], want)
		}
	}
}

// checkLabel is what would be right, or nothing.
func checkLabel(key, value string) string {
	name := key
	if prefix, rest, ok := strings.Cut(key, "/"); ok {
		if len(prefix) > 253 || !labelPrefix.MatchString(prefix) {
			return wantLabelKey
		}
		name = rest
	}
	if !labelName.MatchString(name) {
		return wantLabelKey
	}
	if value != "" && !labelName.MatchString(value) {
		return wantLabelValue
	}
	return ""
}
