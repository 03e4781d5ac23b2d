package render

import (
	"fmt"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// SecretView is the JSON form of a secret: all but its values.
type SecretView struct {
	api.NamedSecret
	// Size of all values in bytes.
	Size int `json:"size"`
	api.SecretUsers
}

// SecretList is the JSON form of several secrets.
type SecretList struct {
	APIVersion string       `json:"apiVersion"`
	Kind       string       `json:"kind"`
	Items      []SecretView `json:"items"`
}

// NewSecretList returns a SecretList of secrets, with what needs each.
func NewSecretList(secrets []api.NamedSecret, users map[string]api.SecretUsers) SecretList {
	list := SecretList{api.APIVersion, "SecretList", []SecretView{}}
	for _, n := range secrets {
		of := users[n.Name]
		list.Items = append(list.Items, SecretView{NamedSecret: n, Size: n.Size(), SecretUsers: api.SecretUsers{
			Clusters: append([]string{}, of.Clusters...), Snapshots: append([]string{}, of.Snapshots...)}})
	}
	return list
}

// NewSecretTable lists secrets. A wide table also has the time of their creation, the clusters that refer to them, and
// how many snapshots they open.
func NewSecretTable(list SecretList, wide bool, now time.Time) *Table {
	t := &Table{head: []string{"NAME", "KEYS", "SIZE", "AGE"}}
	if wide {
		t.head = append(t.head, "CREATED", "CLUSTERS", "SNAPSHOTS")
	}
	for _, s := range list.Items {
		row := []Cell{textCell(s.Name), textCell(strings.Join(s.KeyNames(), ",")), textCell(fmt.Sprint(s.Size)),
			textCell(formatAgeSince(now, s.UpdatedAt))}
		if wide {
			row = append(row, textCell(FormatMoment(now, s.CreatedAt)),
				textCell(ValueOrDash(strings.Join(s.Clusters, ","))), textCell(fmt.Sprint(len(s.Snapshots))))
		}
		t.addRow(row...)
	}
	return t
}
