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

// kubeconfigFile is a kubeconfig as it is written, with all fields that anybody put into it.
type kubeconfigFile map[string]any

// entry is one named cluster, user or context.
type entry = map[string]any

// entryLists are the lists of named entries in a kubeconfig, with the field that holds what is named.
var entryLists = []struct{ name, field string }{{"clusters", "cluster"}, {"users", "user"}, {"contexts", "context"}}

// parseKubeconfig reads a kubeconfig. One without any content has no entries; one that was cut in the middle of an
// entry is an error where that can be told.
func parseKubeconfig(data []byte) (kubeconfigFile, error) {
	f := kubeconfigFile{}
	err := yaml.Unmarshal(data, &f, func(d *json.Decoder) *json.Decoder { d.UseNumber(); return d })
	if err != nil {
		return nil, errors.New("it is no kubeconfig") // the cause may quote from it
	}
	for _, l := range entryLists {
		if _, err := f.listEntries(l.name); err != nil {
			return nil, err
		}
	}
	if current, there := f["current-context"]; there {
		if _, ok := current.(string); !ok && current != nil {
			return nil, errors.New("its current-context is no name")
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
		return nil, fmt.Errorf("its %s are no list", list)
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

// findEntry is what a list holds under a name; nil where that is nothing.
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

// setEntry sets what a list holds under a name.
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

// entryNames are those of a list's entries.
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

// hasForeignEntries says that somebody put something into the file which ours does not have.
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
				return true // a namespace, say
			}
		}
	}
	current, _ := f["current-context"].(string)
	return current != "" && current != ours["current-context"]
}

// mergeEntries replaces the entries that ours names. What a person chose for the context besides, such as a namespace,
// stays.
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

// removeEntries takes away all that bears a name.
func (f kubeconfigFile) removeEntries(name string) {
	for _, l := range entryLists {
		all, _ := f[l.name].([]any)
		f[l.name] = slices.DeleteFunc(all, func(v any) bool { return v.(entry)["name"] == name })
	}
	if f["current-context"] == name {
		f["current-context"] = ""
	}
}

// isEmpty says that no entry is left.
func (f kubeconfigFile) isEmpty() bool {
	for _, l := range entryLists {
		if len(f.entryNames(l.name)) > 0 {
			return false
		}
	}
	return true
}

// describeMissing says in words what of ours the file does not have; empty where it has all.
func (f kubeconfigFile) describeMissing(ours kubeconfigFile) string {
	for _, l := range entryLists {
		for _, name := range ours.entryNames(l.name) {
			have, want := f.findEntry(l.name, l.field, name), ours.findEntry(l.name, l.field, name)
			if have == nil {
				return fmt.Sprintf("the kubeconfig file has no %s %s", l.field, name)
			}
			for _, key := range slices.Sorted(maps.Keys(want)) {
				if !fieldsEqual(key, have[key], want[key]) {
					return fmt.Sprintf("the kubeconfig file has another %s of %s %s than the store", key, l.field, name)
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
		return nil, fmt.Errorf("writing it down: %w", err)
	}
	return text, nil
}
