package dockersim

import (
	"net/http"
	"strings"
)

// AddImage adds an image with labels, as of docker commit.
func (e *Engine) AddImage(name string, labels map[string]string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.images[name] = labels
}

// HasImage reports whether the engine has an image.
func (e *Engine) HasImage(name string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, there := e.images[name]
	return there
}

func (e *Engine) serveImages(w http.ResponseWriter, r *http.Request, parts []string) {
	name := strings.TrimPrefix(strings.TrimSuffix(strings.Join(parts, "/"), "/json"), "sha256:")
	_, there := e.images[name]
	q := r.URL.Query()
	switch {
	case parts[0] == "json":
		writeJSON(w, http.StatusOK, e.listImages(filtersOf(r)["label"]))
	case parts[0] == "prune":
		for n, labels := range e.images {
			if strings.HasPrefix(n, "<none>:") && matchesLabels(labels, filtersOf(r)["label"]) {
				delete(e.images, n)
			}
		}
		writeJSON(w, http.StatusOK, map[string]any{})
	case parts[0] == "create" && q.Get("fromSrc") == "-":
		if _, err := drainBody(r); err != nil {
			writeError(w, http.StatusInternalServerError, err.Error())
			return
		}
		labels := map[string]string{}
		for _, change := range q["changes"] {
			if pair, is := strings.CutPrefix(change, "LABEL "); is {
				key, value, _ := strings.Cut(pair, "=")
				labels[key] = value
			}
		}
		name = q.Get("repo")
		if tag := q.Get("tag"); tag != "" {
			name += ":" + tag
		}
		if old, twice := e.images[name]; twice {
			e.images["<none>:"+newID()] = old
		}
		e.images[name] = labels
		writeJSON(w, http.StatusOK, map[string]string{"status": "sha256:" + newID()})
	case !there:
		writeError(w, http.StatusNotFound, "No such image: "+name)
	case r.Method == http.MethodDelete:
		delete(e.images, name)
		writeJSON(w, http.StatusOK, []any{})
	default:
		writeJSON(w, http.StatusOK, map[string]any{"Id": "sha256:" + name})
	}
}

// listImages returns the images that have labels. An image's id is made of its name.
func (e *Engine) listImages(want []string) []map[string]any {
	found := []map[string]any{}
	for name, labels := range e.images {
		if matchesLabels(labels, want) {
			found = append(found, map[string]any{"Id": "sha256:" + name, "RepoTags": []string{name}, "Labels": labels})
		}
	}
	return found
}
