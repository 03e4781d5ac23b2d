package manifest

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// LocateErrors gives the *api.FieldErrors of an error their places in the file: those of a check, of a change, or of a
// cloud. The result is a *PlaceErrors, joined with what is no *api.FieldError. Errors with a place stay as they are.
func (d Document) LocateErrors(err error) error {
	var located *PlaceErrors
	if err == nil || errors.As(err, &located) {
		return err
	}
	var placed []*PlaceError
	var others []error
	for _, part := range flattenErrors(err) {
		fields := api.FieldErrorsOf(part)
		if len(fields) == 0 {
			others = append(others, part)
		}
		for _, f := range fields {
			placed = append(placed, d.locateError(f)...)
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

// locateError returns the error for each place that it may mean.
func (d Document) locateError(f api.FieldError) []*PlaceError {
	var all []*PlaceError
	for _, path := range d.findPaths(f) {
		p := d.findPlace(path)
		e := &PlaceError{Source: d.Source, Line: max(1, p.line), Column: max(1, p.column), Path: path,
			Found: quoteValue(path, f.Value), Want: api.WordForFile(f.Want)}
		if f.Field == "num_nodes" {
			e.Found = f.Value + " machines with the server"
		}
		all = append(all, e)
	}
	return all
}

// otherFieldPaths are the paths of what errors name in the words of flags.
var otherFieldPaths = map[string]string{"name": "metadata.name", "num_nodes": "spec.pools", "pool": "spec.pools",
	"max_nodes": "spec.network.max_nodes"}

// findPaths returns the paths that the field of an error may mean.
func (d Document) findPaths(f api.FieldError) []string {
	if strings.HasPrefix(f.Field, "spec.") || strings.HasPrefix(f.Field, "metadata.") {
		return []string{f.Field}
	}
	if p := "spec.pools[" + f.Value + "]"; f.Field == "pool" && d.has(p) {
		return []string{p + ".name"}
	}
	if path := otherFieldPaths[f.Field]; path != "" {
		return []string{path}
	}
	var named, exact []string
	for _, path := range slices.Sorted(maps.Keys(d.places)) {
		plain, item := splitItem(path)
		if plain != f.Field && !strings.HasSuffix(plain, "."+f.Field) {
			continue
		}
		text := d.places[path].text
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
		return d.narrowToPools(exact, f)
	case len(exact) == 1:
		return exact
	case len(named) == 1:
		return named
	}
	return []string{joinPath("spec", f.Field)}
}

// narrowToPools keeps the paths in pools that have the error on their own: a rule can hold in one pool and not in
// another that has the same value. It keeps all paths if no pool has it.
func (d Document) narrowToPools(paths []string, f api.FieldError) []string {
	spec, _, err := decodeWanted(d.wanted())
	if err != nil {
		return paths
	}
	spec.SetDefaults()
	pools := spec.Pools
	narrowed := slices.DeleteFunc(slices.Clone(paths), func(path string) bool {
		spec.Pools = slices.DeleteFunc(slices.Clone(pools), func(p api.Pool) bool {
			return !strings.HasPrefix(path, "spec.pools["+p.Name+"].")
		})
		return len(spec.Pools) == 0 || !slices.Contains(api.FieldErrorsOf(spec.Validate()), f)
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
