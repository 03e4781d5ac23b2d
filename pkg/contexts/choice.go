package contexts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Given is what a command line and its environment say about the installation.
type Given struct {
	// HasConfigDir: --config-dir was given, which package config reads itself.
	HasConfigDir bool
	// HasContext: --context was given, and Context is its value.
	HasContext bool
	Context    string
	// Variable is the value of $SKYCONF_DIR.
	Variable string
	// DefaultDir is the directory of the default context; empty if the person has no home directory.
	DefaultDir string
}

// Choice is the installation that a command uses.
type Choice struct {
	// Context is its name; empty if a flag or a variable named the directory itself.
	Context string
	// Dir is its directory; empty if it is the one that package config finds without contexts.
	Dir string
}

// IsNamed reports whether a context other than the default one was chosen.
func (c Choice) IsNamed() bool { return c.Context != "" && c.Context != Default }

// Choose decides which installation a command uses: --config-dir, --context, $SKYCONF_DIR, the current context and the
// default directory override each other in this order. read returns the contexts; it is called only if they matter, so
// that a damaged file does not keep the others from working.
func Choose(given Given, read func() (Contexts, error)) (Choice, error) {
	switch {
	case given.HasConfigDir:
		return Choice{}, nil
	case given.HasContext && given.Context == "":
		return Choice{}, inputErrorf("--context is empty: name a context, or leave the flag out")
	case given.HasContext && given.Context == Default && given.DefaultDir == "":
		return Choice{}, inputErrorf("the directory of context %s is unknown: set $HOME", Default)
	case given.HasContext && given.Context == Default:
		return Choice{Context: Default, Dir: given.DefaultDir}, nil
	case !given.HasContext && given.Variable != "":
		return Choice{}, nil
	}
	all, err := read()
	if err != nil {
		return Choice{}, err
	}
	if given.HasContext {
		return all.chooseNamed("context", given.Context, "To add one: skyctl config set-context NAME --config-dir DIR")
	}
	if all.CurrentName() == Default {
		return Choice{Context: Default}, nil
	}
	return all.chooseNamed("the current context", all.Current, "To choose one: skyctl config use-context NAME")
}

func (c Contexts) chooseNamed(what, name, remedy string) (Choice, error) {
	found, ok := c.FindContext(name)
	if !ok {
		return Choice{}, c.newUnknownError(what, name, remedy)
	}
	return Choice{Context: found.Name, Dir: found.Dir}, nil
}

// CheckDir returns an error if the directory of a context does not exist. That of the default context does not have to.
func (c Choice) CheckDir() error {
	if !c.IsNamed() {
		return nil
	}
	info, err := os.Stat(c.Dir)
	change := fmt.Sprintf("give the context another directory: skyctl config set-context %s --config-dir DIR",
		c.Context)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return inputErrorf("context %s is the directory %s, which does not exist: mount it or create it "+
			"(mkdir -m 700 %[2]s), or %s", c.Context, c.Dir, change)
	case err != nil:
		return fmt.Errorf("reading the directory of context %s: %w", c.Context, err)
	case !info.IsDir():
		return inputErrorf("context %s is %s, which is not a directory: %s", c.Context, c.Dir, change)
	}
	return nil
}
