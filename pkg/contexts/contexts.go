// Package contexts keeps the names that a person gives to installations of skyctl. A context is a name for a state
// directory. All contexts of a person are in one file outside of any installation. Only skyctl reads it: skyd and
// skyd worker keep the directory that they were started with.
package contexts

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sky-shift/skyctl/pkg/lazyregexp"
	"github.com/sky-shift/skyctl/pkg/spelling"
)

// Default is the name of the context that is always there: the directory that skyctl uses without any contexts.
const Default = "default"

// The keys of the file.
const (
	currentKey  = "current-context"
	contextsKey = "contexts"
)

// Context is a name for a state directory.
type Context struct {
	Name string
	Dir  string // absolute
}

// Contexts is the content of the file.
type Contexts struct {
	// Current is the name of the current context; empty if none was chosen. There may be no context of that name.
	Current string
	// Named are all contexts but the default one, sorted by name.
	Named []Context
}

// CurrentName returns the name of the current context, which is the default one unless another was chosen.
func (c Contexts) CurrentName() string {
	if c.Current == "" {
		return Default
	}
	return c.Current
}

// FindContext returns the context with a name. The default one is not among those of the file.
func (c Contexts) FindContext(name string) (Context, bool) {
	i := slices.IndexFunc(c.Named, func(n Context) bool { return n.Name == name })
	if i < 0 {
		return Context{}, false
	}
	return c.Named[i], true
}

// Names returns the names of all contexts, the default one first.
func (c Contexts) Names() []string {
	names := []string{Default}
	for _, n := range c.Named {
		names = append(names, n.Name)
	}
	return names
}

// InputError is bad input: a name, a directory, or the content of the file.
type InputError struct{ text string }

func (e *InputError) Error() string { return e.text }

func inputErrorf(format string, args ...any) error { return &InputError{fmt.Sprintf(format, args...)} }

// newUnknownError says that there is no context with a name, and which there are.
func (c Contexts) newUnknownError(what, name, remedy string) error {
	guess := ""
	if near := spelling.FindNearest(name, c.Names()); near != "" {
		guess = "; did you mean " + near + "?"
	}
	return inputErrorf("%s %q does not exist%s The contexts are %s. %s", what, name, cmp.Or(guess, "."),
		strings.Join(c.Names(), ", "), remedy)
}

var namePattern = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// CheckName rejects what cannot be the name of a context that a person sets, renames or deletes.
func CheckName(name string) error {
	switch {
	case name == Default:
		return inputErrorf("context %s is always the directory ~/.skyconf: it cannot be changed or deleted", Default)
	case !namePattern.MatchString(name):
		return inputErrorf("%q is not a name of a context: use at most 63 letters, digits, dots, dashes and "+
			"underscores, the first a letter or digit", name)
	}
	return nil
}

// lineError is a mistake in a line of the file; the line is 0 if it is unknown.
type lineError struct {
	line int
	why  string
}

func (e *lineError) Error() string { return e.why }

func lineErrorf(n *yaml.Node, format string, args ...any) error {
	return &lineError{n.Line, fmt.Sprintf(format, args...)}
}

// parse reads the text of the file. A directory that begins with ~/ is below home. Its error is a *lineError.
func parse(text []byte, home string) (Contexts, error) {
	var all Contexts
	top, err := decodeDocument(text)
	if err != nil {
		return all, err
	}
	members, err := listMembers(top, "the file")
	if err != nil {
		return all, err
	}
	for _, m := range members {
		switch m.key.Value {
		case currentKey:
			if all.Current, err = readText(m.value, currentKey); err != nil {
				return all, err
			}
		case contextsKey:
			if all.Named, err = readContexts(m.value, home); err != nil {
				return all, err
			}
		default:
			return all, lineErrorf(m.key, "unknown key %q; valid keys: %s, %s", m.key.Value, currentKey, contextsKey)
		}
	}
	return all, nil
}

// decodeDocument returns the value of the only document of a text; nil if it is empty.
func decodeDocument(text []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var first, second yaml.Node
	switch err := decoder.Decode(&first); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, newSyntaxError(err)
	}
	switch err := decoder.Decode(&second); {
	case errors.Is(err, io.EOF):
		return first.Content[0], nil
	case err != nil:
		return nil, newSyntaxError(err)
	}
	return nil, lineErrorf(&second, "a line --- begins a second document: remove the line")
}

var syntaxErrorPattern = lazyregexp.New(`^yaml: (?:line (\d+): )?(.*)`)

func newSyntaxError(err error) error {
	found := syntaxErrorPattern.FindStringSubmatch(err.Error())
	if found == nil {
		return &lineError{0, "it is not YAML: " + err.Error()}
	}
	line, _ := strconv.Atoi(found[1]) // 0 if there is none
	return &lineError{line, "it is not YAML: " + found[2]}
}

// member is a key of a mapping with its value.
type member struct{ key, value *yaml.Node }

// listMembers returns what a mapping has; what says in messages which one it is.
func listMembers(n *yaml.Node, what string) ([]member, error) {
	if n == nil || isNull(n) {
		return nil, nil
	}
	if n.Kind != yaml.MappingNode {
		return nil, lineErrorf(n, "%s must be a mapping", what)
	}
	var all []member
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode {
			return nil, lineErrorf(key, "a key of %s must be a text", what)
		}
		if slices.ContainsFunc(all, func(m member) bool { return m.key.Value == key.Value }) {
			return nil, lineErrorf(key, "%s is there twice", key.Value)
		}
		all = append(all, member{key, n.Content[i+1]})
	}
	return all, nil
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// readText returns a text; an empty one if there is no value.
func readText(n *yaml.Node, what string) (string, error) {
	switch {
	case isNull(n):
		return "", nil
	case n.Kind != yaml.ScalarNode:
		return "", lineErrorf(n, "%s must be a text", what)
	}
	return n.Value, nil
}

func readContexts(n *yaml.Node, home string) ([]Context, error) {
	members, err := listMembers(n, contextsKey)
	if err != nil {
		return nil, err
	}
	var all []Context
	for _, m := range members {
		name := m.key.Value
		if err := CheckName(name); err != nil {
			return nil, lineErrorf(m.key, "%v", err)
		}
		text, err := readText(m.value, "the directory of context "+name)
		if err != nil {
			return nil, err
		}
		dir := ExpandHome(text, home)
		if !filepath.IsAbs(dir) {
			return nil, lineErrorf(m.value, "the directory of context %s is %q: write an absolute path, or one that "+
				"begins with ~/", name, text)
		}
		all = append(all, Context{Name: name, Dir: filepath.Clean(dir)})
	}
	slices.SortFunc(all, func(a, b Context) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// ExpandHome replaces ~ at the beginning of a path by the home directory, if that is known.
func ExpandHome(path, home string) string {
	if rest, below := strings.CutPrefix(path, "~"); below && home != "" && (rest == "" || rest[0] == '/') {
		return filepath.Join(home, rest)
	}
	return path
}
