// Package kubeconfig puts the entries of skyctl's clusters into the kubeconfig files of a person, and takes them out
// again. skyctl owns the cluster, the user and the context skyctl-NAME; an extension in each says so, because another
// program may rename them or write the file anew. Everything else in a file stays byte for byte (package yamltext).
package kubeconfig

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// ContextName is the name of the context, the cluster and the user of a cluster.
func ContextName(cluster string) string { return "skyctl-" + cluster }

// extensionName marks the entries of skyctl, as Kubernetes' API of kubeconfig files intends.
const extensionName = "skyctl.sky-shift.org"

// The lists of a kubeconfig, and the field that holds the value of an item.
const (
	clusters = "clusters"
	users    = "users"
	contexts = "contexts"
)

var entryLists = []struct{ list, field string }{{clusters, "cluster"}, {users, "user"}, {contexts, "context"}}

const currentContext = "current-context"

// Entries are the entries of one cluster.
type Entries struct {
	// Cluster is its name, and UID its id.
	Cluster, UID string
	cluster      map[string]any
	user         map[string]any
}

// NewEntries makes entries from the cluster's own kubeconfig, which has one cluster and one user.
func NewEntries(cluster, uid string, own []byte) (*Entries, error) {
	var parsed struct {
		Clusters []struct{ Cluster map[string]any }
		Users    []struct{ User map[string]any }
	}
	if err := yaml.Unmarshal(own, &parsed); err != nil || len(parsed.Clusters) != 1 || len(parsed.Users) != 1 {
		return nil, errors.New("the stored kubeconfig is not valid") // the cause could quote secrets
	}
	return &Entries{Cluster: cluster, UID: uid, cluster: parsed.Clusters[0].Cluster, user: parsed.Users[0].User}, nil
}

// newItems returns the item for each list. context is the former value of the context, of which other fields stay.
func (e *Entries) newItems(context map[string]any, previous string) map[string]map[string]any {
	name := ContextName(e.Cluster)
	mark := map[string]any{"cluster": e.Cluster, "uid": e.UID}
	contextMark := map[string]any{"cluster": e.Cluster, "uid": e.UID}
	if previous != "" {
		contextMark[previousField] = previous
	}
	merged := map[string]any{}
	for k, v := range context {
		merged[k] = v
	}
	merged["cluster"], merged["user"] = name, name
	return map[string]map[string]any{
		clusters: {"name": name, "cluster": withMark(e.cluster, mark)},
		users:    {"name": name, "user": withMark(e.user, mark)},
		contexts: {"name": name, "context": withMark(merged, contextMark)},
	}
}

// previousField keeps in the mark of a context which context was the current one before skyctl use.
const previousField = "previous-context"

// withMark returns a value with the extension of skyctl, and its other extensions.
func withMark(value, mark map[string]any) map[string]any {
	marked := map[string]any{}
	for k, v := range value {
		marked[k] = v
	}
	extensions := []any{map[string]any{"name": extensionName, "extension": mark}}
	former, _ := value["extensions"].([]any)
	for _, f := range former {
		if m, _ := f.(map[string]any); m["name"] != extensionName {
			extensions = append(extensions, f)
		}
	}
	marked["extensions"] = extensions
	return marked
}

// findMark returns the extension of skyctl in the value of an item; nil if there is none.
func findMark(item any, field string) map[string]any {
	value := itemValue(item, field)
	extensions, _ := value["extensions"].([]any)
	for _, e := range extensions {
		if m, _ := e.(map[string]any); m["name"] == extensionName {
			mark, _ := m["extension"].(map[string]any)
			return mark
		}
	}
	return nil
}

func itemName(item any) string {
	m, _ := item.(map[string]any)
	name, _ := m["name"].(string)
	return name
}

func itemValue(item any, field string) map[string]any {
	m, _ := item.(map[string]any)
	value, _ := m[field].(map[string]any)
	return value
}

// OtherClusterError says that an entry is that of another cluster with the same name: one of another installation, or
// one that is deleted without this computer's knowledge.
type OtherClusterError struct{ Field, Name string }

func (e *OtherClusterError) Error() string {
	return fmt.Sprintf("its %[1]s %[2]s is that of another cluster with this name, of another installation or "+
		"deleted. If you do not need that: kubectl config delete-context %[2]s; kubectl config delete-cluster %[2]s; "+
		"kubectl config delete-user %[2]s", e.Field, e.Name)
}

// ForeignEntryError says that an entry with the name of skyctl's is not skyctl's.
type ForeignEntryError struct{ Field, Name string }

func (e *ForeignEntryError) Error() string {
	return fmt.Sprintf("its %s %s is not skyctl's: rename it or remove it", e.Field, e.Name)
}
