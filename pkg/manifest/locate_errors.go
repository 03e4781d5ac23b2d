package manifest

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/sky-shift/skyctl/pkg/api"
)

// LocateErrors gives the *api.FieldErrors of an error their places in the file: those of a check, of a change, or of a
// cloud. The result is a *PlaceErrors, joined with what is no *api.FieldError. Errors with a place stay as they are.
func (d Document) LocateErrors(err error) error {
	var located *PlaceErrors
	if err == nil || errors.As(err, &located) {
		return err
	}
	l := newErrorLocator(d)
	var placed []*PlaceError
	var others []error
	known := map[api.FieldError]bool{} // several pools can have the same error
	for _, part := range flattenErrors(err) {
		fields := api.FieldErrorsOf(part)
		if len(fields) == 0 {
			others = append(others, part)
		}
		for _, f := range fields {
			if !known[f] {
				known[f] = true
				placed = append(placed, l.locateError(f)...)
			}
		}
	}
	switch {
	case len(placed) == 0:
		return err
	case len(others) == 0:
		return newPlaceErrors(placed)
	}
	return errors.Join(append([]error{newPlaceErrors(placed)}, others...)...)
}

// flattenErrors takes joined errors apart.
func flattenErrors(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, flattenErrors(e)...)
	}
	return all
}

// errorLocator finds the places of errors in a document. What all errors need is made once: a file can have thousands
// of pools.
type errorLocator struct {
	Document
	paths []string
	// errorsOfPool are the errors that each pool has on its own, by name.
	errorsOfPool func() map[string][]api.FieldError
}

func newErrorLocator(d Document) errorLocator {
	return errorLocator{Document: d, paths: slices.Sorted(maps.Keys(d.places)),
		errorsOfPool: sync.OnceValue(d.checkPools)}
}

// checkPools returns the errors that each pool has on its own, by name.
func (d Document) checkPools() map[string][]api.FieldError {
	spec, _, err := decodeWanted(d.wanted())
	if err != nil {
		return nil
	}
	spec.SetDefaults()
	found := map[string][]api.FieldError{}
	for _, p := range spec.Pools {
		alone := spec
		alone.Pools = []api.Pool{p}
		found[p.Name] = api.FieldErrorsOf(alone.Validate())
	}
	return found
}

// locateError returns the error for each place that it may mean.
func (l errorLocator) locateError(f api.FieldError) []*PlaceError {
	var all []*PlaceError
	for _, path := range l.findPaths(f) {
		p := l.findPlace(path)
		e := &PlaceError{Source: l.Source, Line: max(1, p.line), Column: max(1, p.column), Path: path,
			Found: quoteValue(path, f.Value), Want: api.WordForFile(f.Want)}
		switch {
		case f.Value == "" && !l.has(path):
			e.Found = "left out"
		case f.Value == "" && l.places[path].text != "":
			e.Found = "a hidden value" // that no message may show
		case f.Field == "num_nodes":
			e.Found = f.Value + " machines with the server"
		}
		all = append(all, e)
	}
	return all
}

// otherFieldPaths are the paths of what errors name in the words of flags.
var otherFieldPaths = map[string]string{"name": "metadata.name", "num_nodes": "spec.pools", "pool": "spec.pools"}

// findPaths returns the paths that the field of an error may mean.
func (l errorLocator) findPaths(f api.FieldError) []string {
	if strings.HasPrefix(f.Field, "spec.") || strings.HasPrefix(f.Field, "metadata.") {
		return []string{f.Field}
	}
	if p := "spec.pools[" + f.Value + "]"; f.Field == "pool" && l.has(p) {
		return []string{p + ".name"}
	}
	if path := cmp.Or(otherFieldPaths[f.Field], api.FilePathOf(f.Field)); path != "" {
		return []string{path}
	}
	var named, exact []string
	for _, path := range l.paths {
		plain, item := splitItem(path)
		if plain != f.Field && !strings.HasSuffix(plain, "."+f.Field) {
			continue
		}
		text := l.places[path].text
		if item != "" && item != text { // an entry of a map
			text = item + "=" + text
		}
		named = append(named, path)
		if text == f.Value || strings.EqualFold(text, f.Value) {
			exact = append(exact, path)
		}
	}
	switch {
	case len(exact) > 1:
		return l.narrowToPools(exact, f)
	case len(exact) == 1:
		return exact
	case len(named) == 1:
		return named
	}
	return []string{joinPath("spec", f.Field)}
}

// narrowToPools keeps the paths in pools that have the error on their own: a rule can hold in one pool and not in
// another that has the same value. It keeps all paths if no pool has it.
func (l errorLocator) narrowToPools(paths []string, f api.FieldError) []string {
	narrowed := slices.DeleteFunc(slices.Clone(paths), func(path string) bool {
		rest, _ := strings.CutPrefix(path, "spec.pools[")
		name, _, _ := strings.Cut(rest, "]")
		return !slices.Contains(l.errorsOfPool()[name], f)
	})
	if len(narrowed) == 0 {
		return paths
	}
	return narrowed
}

// splitItem splits the key of an item off the end of a path.
func splitItem(path string) (plain, item string) {
	if open := strings.LastIndexByte(path, '['); open > 0 && strings.HasSuffix(path, "]") {
		return path[:open], path[open+1 : len(path)-1]
	}
	return path, ""
}

func (d Document) has(path string) bool {
	_, ok := d.places[path]
	return ok
}

// findPlace returns the place of a path, or else that of the object that would have it.
func (d Document) findPlace(path string) place {
	for ; path != ""; path = path[:max(0, strings.LastIndexAny(path, ".["))] {
		if p, ok := d.places[path]; ok {
			return p
		}
	}
	return place{line: d.Line, column: 1}
}
