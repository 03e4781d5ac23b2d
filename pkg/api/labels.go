package api

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validate/content"
)

const (
	wantLabelKey = "a key of at most 63 letters, digits, '-', '_' and '.' that begins and ends with a letter or " +
		"digit, such as team or example.com/team"
	wantLabelValue = "a value of at most 63 letters, digits, '-', '_' and '.' that begins and ends with a letter or " +
		"digit, or an empty one"
)

// ParseLabels parses the values of --labels, each as key=value. Its errors are *FieldErrors, joined.
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

// checkLabel returns what would be valid, or nothing. The syntax is that of Kubernetes:
// https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
func checkLabel(key, value string) string {
	switch {
	case len(content.IsLabelKey(key)) > 0:
		return wantLabelKey
	case len(content.IsLabelValue(value)) > 0:
		return wantLabelValue
	}
	return ""
}

// formatLabels returns labels in sorted order as key=value, with commas.
func formatLabels(labels map[string]string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, key+"="+labels[key])
	}
	return strings.Join(parts, ",")
}
