package api

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// LabelChange sets and removes labels.
type LabelChange struct {
	Set    map[string]string
	Remove []string
}

// IsLabelArgument reports whether an argument of a command sets or removes a label, as KEY=VALUE or KEY-.
func IsLabelArgument(arg string) bool {
	return strings.Contains(arg, "=") || strings.HasSuffix(arg, "-")
}

// ParseLabelChange parses arguments, each KEY=VALUE or KEY-. Its errors are *FieldErrors, joined.
func ParseLabelChange(args []string) (LabelChange, error) {
	var change LabelChange
	var errs fieldErrors
	var set []string
	for _, arg := range args {
		key, removes := strings.CutSuffix(arg, "-")
		switch {
		case strings.Contains(arg, "="):
			set = append(set, arg)
		case !removes:
			errs.addField("labels", arg, "KEY=VALUE to set a label, such as team=vision, or KEY- to remove one")
		case checkLabel(key, "") != "":
			errs.addField("labels", arg, wantLabelKey+", and then '-'")
		case !slices.Contains(change.Remove, key):
			change.Remove = append(change.Remove, key)
		}
	}
	var err error
	change.Set, err = ParseLabels(set)
	errs.addError(err)
	for _, key := range change.Remove {
		if _, both := change.Set[key]; both {
			errs.addField("labels", key+"-", "a label is set or removed, not both: "+key+"="+change.Set[key]+
				" was given too")
		}
	}
	return change, errs.joinErrors()
}

// ApplyTo returns labels with the change. Without overwrite a key that has another value is a *FieldError, and the
// errors are joined.
func (l LabelChange) ApplyTo(labels map[string]string, overwrite bool) (map[string]string, error) {
	var errs fieldErrors
	changed := maps.Clone(labels)
	if changed == nil {
		changed = map[string]string{}
	}
	for _, key := range slices.Sorted(maps.Keys(l.Set)) {
		if now, has := labels[key]; has && now != l.Set[key] && !overwrite {
			errs.addField("labels", key+"="+l.Set[key], fmt.Sprintf("the label has the value %q; use --overwrite to "+
				"change it", now))
		}
		changed[key] = l.Set[key]
	}
	for _, key := range l.Remove {
		delete(changed, key)
	}
	if len(changed) == 0 {
		changed = nil
	}
	return changed, errs.joinErrors()
}

// DescribeLabelChange says for people in what labels differ; empty if they do not.
func DescribeLabelChange(before, after map[string]string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(after)) {
		switch was, had := before[key]; {
		case !had:
			parts = append(parts, key+"="+after[key])
		case was != after[key]:
			parts = append(parts, fmt.Sprintf("%s=%s (was %q)", key, after[key], was))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if _, has := after[key]; !has {
			parts = append(parts, key+" removed")
		}
	}
	return strings.Join(parts, ", ")
}
