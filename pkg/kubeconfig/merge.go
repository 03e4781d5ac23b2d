package kubeconfig

import (
	"maps"
	"reflect"

	"github.com/sky-shift/skyctl/pkg/yamltext"
)

// Merge puts entries into a kubeconfig, or writes those anew that are there. text is nil if there is no file. A file
// without a current context gets the entries' one if mayBeCurrent.
func Merge(text []byte, e *Entries, mayBeCurrent bool) ([]byte, error) {
	d, err := yamltext.Parse(text)
	if err != nil {
		return nil, err
	}
	if len(d.Value()) == 0 {
		if d, err = setTexts(d, [][2]string{{"apiVersion", "v1"}, {"kind", "Config"}}); err != nil {
			return nil, err
		}
	}
	found, err := findEntries(d, e)
	if err != nil {
		return nil, err
	}
	previous, _ := found.mark()[previousField].(string)
	items := e.newItems(found.context(), previous)
	for _, l := range entryLists {
		if d, err = putItem(d, l.list, found.index(l.list), items[l.list]); err != nil {
			return nil, err
		}
	}
	if current, _ := d.ValueAt(currentContext).(string); current == "" && mayBeCurrent {
		if d, err = d.SetText(ContextName(e.Cluster), currentContext); err != nil {
			return nil, err
		}
	}
	return d.Bytes(), nil
}

// renewEntries writes the cluster and the user of entries anew, if they are in a kubeconfig. Contexts stay as they are.
func renewEntries(text []byte, e *Entries) ([]byte, error) {
	d, err := yamltext.Parse(text)
	if err != nil {
		return nil, err
	}
	items := e.newItems(nil, "")
	for _, l := range entryLists[:2] {
		for i, item := range itemsOf(d, l.list) {
			if findMark(item, l.field)["uid"] != e.UID {
				continue
			}
			fresh := items[l.list]
			fresh["name"] = itemName(item) // somebody may have renamed it
			if d, err = putItem(d, l.list, i, fresh); err != nil {
				return nil, err
			}
		}
	}
	return d.Bytes(), nil
}

// SetCurrent makes the context of a cluster the current one. previous is the former one.
func SetCurrent(text []byte, cluster string) (changed []byte, previous string, err error) {
	d, err := yamltext.Parse(text)
	if err != nil {
		return nil, "", err
	}
	previous, _ = d.ValueAt(currentContext).(string)
	if previous == ContextName(cluster) {
		return text, previous, nil
	}
	if d, err = d.SetText(ContextName(cluster), currentContext); err != nil {
		return nil, "", err
	}
	return d.Bytes(), previous, nil
}

// RememberPrevious notes in the context of a cluster which context was the current one before.
func RememberPrevious(text []byte, uid, previous string) ([]byte, error) {
	d, err := yamltext.Parse(text)
	if err != nil {
		return nil, err
	}
	for i, item := range itemsOf(d, contexts) {
		mark := findMark(item, "context")
		if mark["uid"] != uid || mark[previousField] == previous {
			continue
		}
		if d, err = d.ReplaceItem(i, withPrevious(item, previous), contexts); err != nil {
			return nil, err
		}
	}
	return d.Bytes(), nil
}

// withPrevious returns the item of a context of skyctl that remembers another one; none if it is empty.
func withPrevious(item any, previous string) map[string]any {
	mark := maps.Clone(findMark(item, "context"))
	mark[previousField] = previous
	if previous == "" {
		delete(mark, previousField)
	}
	return map[string]any{"name": itemName(item), "context": withMark(itemValue(item, "context"), mark)}
}

// foundEntries are the entries of a cluster in a kubeconfig, by their place in each list.
type foundEntries struct {
	places map[string]int
	items  map[string]any
}

func (f foundEntries) index(list string) int {
	if at, ok := f.places[list]; ok {
		return at
	}
	return -1
}

func (f foundEntries) context() map[string]any { return itemValue(f.items[contexts], "context") }
func (f foundEntries) mark() map[string]any    { return findMark(f.items[contexts], "context") }

// findEntries finds the entries with the names of a cluster's. Those of another program, and of another cluster with
// the same name, are errors. Entries are the cluster's, whatever their mark is, if its certificate authority is the
// same: another program may have removed the mark, and a restored cluster has a new id.
func findEntries(d *yamltext.Document, e *Entries) (foundEntries, error) {
	found := foundEntries{places: map[string]int{}, items: map[string]any{}}
	name, known := ContextName(e.Cluster), false
	for _, l := range entryLists {
		for i, item := range itemsOf(d, l.list) {
			if itemName(item) != name {
				continue
			}
			authority := itemValue(item, l.field)[authorityField]
			known = known || l.list == clusters && authority != nil && authority == e.cluster[authorityField]
			switch mark := findMark(item, l.field); {
			case known || mark["uid"] == e.UID:
			case mark == nil:
				return found, &ForeignEntryError{Field: l.field, Name: name}
			default:
				return found, &OtherClusterError{Field: l.field, Name: name}
			}
			found.places[l.list], found.items[l.list] = i, item
		}
	}
	return found, nil
}

const authorityField = "certificate-authority-data"

// putItem adds an item to a list, or replaces the one at an index, unless that is the same.
func putItem(d *yamltext.Document, list string, index int, item map[string]any) (*yamltext.Document, error) {
	switch {
	case index < 0:
		return d.AddItem(item, list)
	case reflect.DeepEqual(itemsOf(d, list)[index], any(item)):
		return d, nil
	}
	return d.ReplaceItem(index, item, list)
}

func itemsOf(d *yamltext.Document, list string) []any {
	items, _ := d.ValueAt(list).([]any)
	return items
}

func setTexts(d *yamltext.Document, pairs [][2]string) (*yamltext.Document, error) {
	var err error
	for _, p := range pairs {
		if d, err = d.SetText(p[1], p[0]); err != nil {
			return nil, err
		}
	}
	return d, nil
}
