package kubefile

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"reflect"
	"slices"

	"sigs.k8s.io/yaml"
)

// kubeconfigFile is a parsed kubeconfig with all fields, including unknown ones.
type kubeconfigFile map[string]any

// entry is one named cluster, user or context.
type entry = map[string]any

// entryLists are the lists of named entries in a kubeconfig, with the field that holds the value of an entry.
var entryLists = []struct{ name, field string }{{"clusters", "cluster"}, {"users", "user"}, {"contexts", "context"}}

// parseKubeconfig parses a kubeconfig. An empty one has no entries; a truncated one is an error if the truncation is
// visible.
func parseKubeconfig(data []byte) (kubeconfigFile, error) {
	f := kubeconfigFile{}
	err := yaml.Unmarshal(data, &f, func(d *json.Decoder) *json.Decoder { d.UseNumber(); return d })
	if err != nil {
		return nil, errors.New("it is not a kubeconfig") // the cause could quote secrets
	}
	for _, l := range entryLists {
		if _, err := f.listEntries(l.name); err != nil {
			return nil, err
		}
	}
	if current, present := f["current-context"]; present {
		if _, ok := current.(string); !ok && current != nil {
			return nil, errors.New("its current-context is not a name")
		}
	}
	return f, nil
}

func (f kubeconfigFile) listEntries(list string) ([]entry, error) {
	value := f[list]
	if value == nil {
		return nil, nil
	}
	all, ok := value.([]any)
	if !ok {
		return nil, fmt.Errorf("its %s are not a list", list)
	}
	var found []entry
	for _, v := range all {
		e, ok := v.(entry)
		if !ok {
			return nil, fmt.Errorf("one of its %s has no name", list)
		}
		found = append(found, e)
	}
	return found, nil
}

// findEntry returns the value of a named entry, or nil.
func (f kubeconfigFile) findEntry(list, field, name string) entry {
	all, _ := f.listEntries(list)
	for _, e := range all {
		if e["name"] == name {
			value, _ := e[field].(entry)
			return value
		}
	}
	return nil
}

// setEntry sets the value of a named entry.
func (f kubeconfigFile) setEntry(list, field, name string, value entry) {
	all, _ := f[list].([]any)
	fresh := entry{"name": name, field: value}
	at := slices.IndexFunc(all, func(v any) bool { return v.(entry)["name"] == name })
	if at < 0 {
		f[list] = append(slices.Clone(all), fresh)
		return
	}
	all[at] = fresh
}

func (f kubeconfigFile) entryNames(list string) []string {
	all, _ := f.listEntries(list)
	var names []string
	for _, e := range all {
		if name, ok := e["name"].(string); ok {
			names = append(names, name)
		}
	}
	return names
}

// hasForeignEntries reports whether the file has anything that ours does not have.
func (f kubeconfigFile) hasForeignEntries(ours kubeconfigFile) bool {
	for _, l := range entryLists {
		for _, name := range f.entryNames(l.name) {
			if ours.findEntry(l.name, l.field, name) == nil {
				return true
			}
		}
	}
	for _, name := range f.entryNames("contexts") {
		for key := range f.findEntry("contexts", "context", name) {
			if _, known := ours.findEntry("contexts", "context", name)[key]; !known {
				return true // such as a namespace
			}
		}
	}
	current, _ := f["current-context"].(string)
	return current != "" && current != ours["current-context"]
}

// mergeEntries replaces the entries that are in ours. Other fields of a context, such as a namespace, stay.
func (f kubeconfigFile) mergeEntries(ours kubeconfigFile) {
	for _, l := range entryLists {
		for _, name := range ours.entryNames(l.name) {
			value := ours.findEntry(l.name, l.field, name)
			if l.name == "contexts" {
				value = overlayEntry(f.findEntry(l.name, l.field, name), value)
			}
			f.setEntry(l.name, l.field, name, value)
		}
	}
	for _, key := range []string{"apiVersion", "kind"} {
		f[key] = ours[key]
	}
	if current, _ := f["current-context"].(string); current == "" {
		f["current-context"] = ours["current-context"]
	}
}

func overlayEntry(below, above entry) entry {
	both := entry{}
	for _, e := range []entry{below, above} {
		for k, v := range e {
			both[k] = v
		}
	}
	return both
}

// removeEntries removes all entries with a name.
func (f kubeconfigFile) removeEntries(name string) {
	for _, l := range entryLists {
		all, _ := f[l.name].([]any)
		f[l.name] = slices.DeleteFunc(all, func(v any) bool { return v.(entry)["name"] == name })
	}
	if f["current-context"] == name {
		f["current-context"] = ""
	}
}

// isEmpty reports whether no entry is left.
func (f kubeconfigFile) isEmpty() bool {
	for _, l := range entryLists {
		if len(f.entryNames(l.name)) > 0 {
			return false
		}
	}
	return true
}

// describeMissing describes the first entry of ours that the file lacks or that differs; empty if there is none.
func (f kubeconfigFile) describeMissing(ours kubeconfigFile) string {
	for _, l := range entryLists {
		for _, name := range ours.entryNames(l.name) {
			have, want := f.findEntry(l.name, l.field, name), ours.findEntry(l.name, l.field, name)
			if have == nil {
				return fmt.Sprintf("the kubeconfig file has no %s %s", l.field, name)
			}
			for _, key := range slices.Sorted(maps.Keys(want)) {
				if !fieldsEqual(key, have[key], want[key]) {
					return fmt.Sprintf("the kubeconfig file has a different %s of %s %s than the store", key, l.field,
						name)
				}
			}
		}
	}
	return ""
}

func fieldsEqual(key string, have, want any) bool {
	if reflect.DeepEqual(have, want) {
		return true
	}
	a, _ := have.(string)
	b, _ := want.(string)
	return key == "server" && isLoopbackServer(a) && isLoopbackServer(b)
}

func isLoopbackServer(server string) bool {
	u, err := url.Parse(server)
	return err == nil && net.ParseIP(u.Hostname()).IsLoopback()
}

func (f kubeconfigFile) toYAML() ([]byte, error) {
	text, err := yaml.Marshal(map[string]any(f))
	if err != nil {
		return nil, fmt.Errorf("encoding the kubeconfig: %w", err)
	}
	return text, nil
}
