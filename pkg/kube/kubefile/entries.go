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

// file is a kubeconfig as it is written, with all fields that anybody put into it.
type file map[string]any

// entry is one named cluster, user or context.
type entry = map[string]any

// lists are the lists of named entries in a kubeconfig, with the field that holds what is named.
var lists = []struct{ name, field string }{{"clusters", "cluster"}, {"users", "user"}, {"contexts", "context"}}

// parse reads a kubeconfig. One without any content has no entries; one that was cut in the middle of an entry is an
// error where that can be told.
func parse(data []byte) (file, error) {
	f := file{}
	err := yaml.Unmarshal(data, &f, func(d *json.Decoder) *json.Decoder { d.UseNumber(); return d })
	if err != nil {
		return nil, errors.New("it is no kubeconfig") // the cause may quote from it
	}
	for _, l := range lists {
		if _, err := f.entries(l.name); err != nil {
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

func (f file) entries(list string) ([]entry, error) {
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

// named is what a list holds under a name; nil where that is nothing.
func (f file) named(list, field, name string) entry {
	all, _ := f.entries(list)
	for _, e := range all {
		if e["name"] == name {
			value, _ := e[field].(entry)
			return value
		}
	}
	return nil
}

// put sets what a list holds under a name.
func (f file) put(list, field, name string, value entry) {
	all, _ := f[list].([]any)
	fresh := entry{"name": name, field: value}
	at := slices.IndexFunc(all, func(v any) bool { return v.(entry)["name"] == name })
	if at < 0 {
		f[list] = append(slices.Clone(all), fresh)
		return
	}
	all[at] = fresh
}

// names are those of a list's entries.
func (f file) names(list string) []string {
	all, _ := f.entries(list)
	var names []string
	for _, e := range all {
		if name, ok := e["name"].(string); ok {
			names = append(names, name)
		}
	}
	return names
}

// holdsOthersThan says that somebody put something into the file which ours does not have.
func (f file) holdsOthersThan(ours file) bool {
	for _, l := range lists {
		for _, name := range f.names(l.name) {
			if ours.named(l.name, l.field, name) == nil {
				return true
			}
		}
	}
	for _, name := range f.names("contexts") {
		for key := range f.named("contexts", "context", name) {
			if _, known := ours.named("contexts", "context", name)[key]; !known {
				return true // a namespace, say
			}
		}
	}
	current, _ := f["current-context"].(string)
	return current != "" && current != ours["current-context"]
}

// take replaces the entries that ours names. What a person chose for the context besides, such as a namespace, stays.
func (f file) take(ours file) {
	for _, l := range lists {
		for _, name := range ours.names(l.name) {
			value := ours.named(l.name, l.field, name)
			if l.name == "contexts" {
				value = overlay(f.named(l.name, l.field, name), value)
			}
			f.put(l.name, l.field, name, value)
		}
	}
	for _, key := range []string{"apiVersion", "kind"} {
		f[key] = ours[key]
	}
	if current, _ := f["current-context"].(string); current == "" {
		f["current-context"] = ours["current-context"]
	}
}

func overlay(below, above entry) entry {
	both := entry{}
	for _, e := range []entry{below, above} {
		for k, v := range e {
			both[k] = v
		}
	}
	return both
}

// drop takes away all that bears a name.
func (f file) drop(name string) {
	for _, l := range lists {
		all, _ := f[l.name].([]any)
		f[l.name] = slices.DeleteFunc(all, func(v any) bool { return v.(entry)["name"] == name })
	}
	if f["current-context"] == name {
		f["current-context"] = ""
	}
}

// empty says that no entry is left.
func (f file) empty() bool {
	for _, l := range lists {
		if len(f.names(l.name)) > 0 {
			return false
		}
	}
	return true
}

// lacks says in words what of ours the file does not have; empty where it has all.
func (f file) lacks(ours file) string {
	for _, l := range lists {
		for _, name := range ours.names(l.name) {
			have, want := f.named(l.name, l.field, name), ours.named(l.name, l.field, name)
			if have == nil {
				return fmt.Sprintf("the kubeconfig file has no %s %s", l.field, name)
			}
			for _, key := range slices.Sorted(maps.Keys(want)) {
				if !equal(key, have[key], want[key]) {
					return fmt.Sprintf("the kubeconfig file has another %s of %s %s than the store", key, l.field, name)
				}
			}
		}
	}
	return ""
}

func equal(key string, have, want any) bool {
	if reflect.DeepEqual(have, want) {
		return true
	}
	a, _ := have.(string)
	b, _ := want.(string)
	return key == "server" && onLoopback(a) && onLoopback(b)
}

func onLoopback(server string) bool {
	u, err := url.Parse(server)
	return err == nil && net.ParseIP(u.Hostname()).IsLoopback()
}

func (f file) text() ([]byte, error) {
	text, err := yaml.Marshal(map[string]any(f))
	if err != nil {
		return nil, fmt.Errorf("writing it down: %w", err)
	}
	return text, nil
}
