package kubeconfig

import (
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/yamltext"
)

// contextChange says what becomes of the current context when contexts go: it maps the name of each to the one that was
// current before it; empty if there is none.
type contextChange map[string]string

// findContextChange reads the contexts of a cluster, and which others there are, in all kubeconfigs of a person.
func findContextChange(texts [][]byte, uid string) contextChange {
	change, left := contextChange{}, map[string]bool{}
	for _, text := range texts {
		d, err := yamltext.Parse(text)
		if err != nil {
			continue
		}
		for _, item := range itemsOf(d, contexts) {
			mark := findMark(item, "context")
			if mark == nil || mark["uid"] != uid {
				left[itemName(item)] = true
				continue
			}
			change[itemName(item)], _ = mark[previousField].(string)
		}
	}
	for name, previous := range change {
		if !left[previous] {
			change[name] = ""
		}
	}
	return change
}

// hasOtherContext reports whether a kubeconfig has a context with the name of a cluster's that is another cluster's.
func hasOtherContext(text []byte, cluster, uid string) bool {
	d, err := yamltext.Parse(text)
	return err == nil && slices.ContainsFunc(itemsOf(d, contexts), func(item any) bool {
		return itemName(item) == ContextName(cluster) && findMark(item, "context")["uid"] != uid
	})
}

// Remove takes the entries of a cluster out of a kubeconfig, under whatever names they have. earlier is the text before
// the first entry of skyctl; nil if it is unknown. The result is nil if nothing but an empty kubeconfig is left.
func Remove(text, earlier []byte, uid string, change contextChange) ([]byte, error) {
	d, err := yamltext.Parse(text)
	if err != nil {
		return nil, err
	}
	before := d
	for _, l := range entryLists {
		items := itemsOf(d, l.list)
		for i := len(items) - 1; i >= 0; i-- {
			if mark := findMark(items[i], l.field); mark == nil || mark["uid"] != uid {
				continue
			}
			if d, err = d.RemoveItem(i, l.list); err != nil {
				return nil, err
			}
		}
	}
	current, _ := d.ValueAt(currentContext).(string)
	if next, goes := change[current]; goes && current != "" {
		if d, err = d.SetText(next, currentContext); err != nil {
			return nil, err
		}
	}
	if d, err = redirectPrevious(d, change); err != nil {
		return nil, err
	}
	if d == before {
		return text, nil
	}
	return restoreForm(d, earlier)
}

// redirectPrevious lets contexts of skyctl that remember one that goes remember the one before it.
func redirectPrevious(d *yamltext.Document, change contextChange) (*yamltext.Document, error) {
	for i, item := range itemsOf(d, contexts) {
		previous, _ := findMark(item, "context")[previousField].(string)
		next, goes := change[previous]
		if previous == "" || !goes {
			continue
		}
		var err error
		if d, err = d.ReplaceItem(i, withPrevious(item, next), contexts); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// restoreForm writes what is empty now as it was before the first entry of skyctl.
func restoreForm(d *yamltext.Document, earlier []byte) ([]byte, error) {
	if earlier == nil {
		if isEmpty(d) && !d.HasComments() {
			return nil, nil
		}
		return d.Bytes(), nil
	}
	before, err := yamltext.Parse(earlier)
	if err != nil {
		return d.Bytes(), nil //nolint:nilerr // it was never changed by skyctl; empty lists are as good
	}
	for _, key := range []string{clusters, users, contexts, currentContext} {
		if d, err = d.RestoreForm(before, key); err != nil {
			return nil, err
		}
	}
	for _, key := range []string{"kind", "apiVersion"} {
		if len(before.Value()) == 0 && len(d.Value()) <= 2 {
			if d, err = d.RemoveKey(key); err != nil {
				return nil, err
			}
		}
	}
	return d.Bytes(), nil
}

// isEmpty reports whether a kubeconfig has no entries, no current context and nothing that skyctl does not know.
func isEmpty(d *yamltext.Document) bool {
	for key, value := range d.Value() {
		switch key {
		case clusters, users, contexts:
			if len(itemsOf(d, key)) > 0 {
				return false
			}
		case currentContext:
			if value != nil && value != "" {
				return false
			}
		case "apiVersion", "kind":
		case "preferences":
			if m, ok := value.(map[string]any); value != nil && (!ok || len(m) > 0) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// HasEntries reports whether a kubeconfig has entries of skyctl, or a context of skyctl's as the current one.
func HasEntries(text []byte) bool {
	d, err := yamltext.Parse(text)
	if err != nil {
		return false
	}
	if current, _ := d.ValueAt(currentContext).(string); strings.HasPrefix(current, ContextName("")) {
		return true
	}
	return slices.ContainsFunc(entryLists, func(l struct{ list, field string }) bool {
		return slices.ContainsFunc(itemsOf(d, l.list), func(item any) bool { return findMark(item, l.field) != nil })
	})
}
