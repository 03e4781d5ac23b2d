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
	// Clusters are those that refer to it.
	Clusters []string `json:"clusters"`
}

// SecretList is the JSON form of several secrets.
type SecretList struct {
	APIVersion string       `json:"apiVersion"`
	Kind       string       `json:"kind"`
	Items      []SecretView `json:"items"`
}

// NewSecretList returns a SecretList of secrets, with the clusters that refer to each.
func NewSecretList(secrets []api.NamedSecret, users map[string][]string) SecretList {
	list := SecretList{api.APIVersion, "SecretList", []SecretView{}}
	for _, n := range secrets {
		list.Items = append(list.Items, SecretView{NamedSecret: n, Size: n.Size(),
			Clusters: append([]string{}, users[n.Name]...)})
	}
	return list
}

// NewSecretTable lists secrets. A wide table also has the time of their creation, and the clusters that refer to them.
func NewSecretTable(list SecretList, wide bool, now time.Time) *Table {
	t := &Table{head: []string{"NAME", "KEYS", "SIZE", "AGE"}}
	if wide {
		t.head = append(t.head, "CREATED", "CLUSTERS")
	}
	for _, s := range list.Items {
		row := []Cell{textCell(s.Name), textCell(strings.Join(s.KeyNames(), ",")), textCell(fmt.Sprint(s.Size)),
			textCell(formatAgeSince(now, s.UpdatedAt))}
		if wide {
			row = append(row, textCell(FormatMoment(now, s.CreatedAt)),
				textCell(ValueOrDash(strings.Join(s.Clusters, ","))))
		}
		t.addRow(row...)
	}
	return t
}
