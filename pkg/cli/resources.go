package cli

import "slices"

// resource is a kind of object that commands name: in `skyctl get clusters`, and in front of a name, cluster/dev.
type resource struct {
	// name and plural are the words of commands and help.
	name, plural string
	// others are the short names, and the words that people bring from kubectl, eksctl and gcloud.
	others []string
}

// resources are all kinds of objects, in the order in which help lists them.
var resources = []resource{
	{name: "cluster", plural: "clusters", others: []string{"cl"}},
	{name: "pool", plural: "pools", others: []string{"pl", "nodegroup", "nodegroups", "ng"}},
	{name: "machine", plural: "machines", others: []string{"mc", "node", "nodes", "no"}},
	{name: "snapshot", plural: "snapshots", others: []string{"snap", "snaps"}},
	{name: "event", plural: "events", others: []string{"ev"}},
	{name: "orphan", plural: "orphans"},
	{name: "secret", plural: "secrets"},
}

func (r resource) allNames() []string { return append([]string{r.name, r.plural}, r.others...) }

// findResource returns the kind of objects that a word means, in any of its spellings.
func findResource(word string) (resource, bool) {
	i := slices.IndexFunc(resources, func(r resource) bool { return slices.Contains(r.allNames(), word) })
	if i < 0 {
		return resource{}, false
	}
	return resources[i], true
}

// listAliases returns the other spellings of a kind of objects whose command is called used.
func listAliases(used string) []string {
	r, _ := findResource(used)
	return slices.DeleteFunc(r.allNames(), func(word string) bool { return word == used })
}
