package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/contexts"
	"github.com/sky-shift/skyctl/pkg/printable"
)

const contextFlag = "context"

// bindGlobalFlags adds the flags that every command has.
func (a *app) bindGlobalFlags(root *cobra.Command) {
	a.flags = root.PersistentFlags()
	config.BindFlags(a.flags)
	a.flags.Lookup(config.DirFlag).Usage = "state directory (default that of --context, $" + config.EnvDir +
		", that of the current context, or ~/.skyconf)"
	a.flags.String(contextFlag, "", "name of the installation to use: see skyctl config get-contexts")
	panicOnError(root.RegisterFlagCompletionFunc(contextFlag, a.completeContextFlag))
	a.bindLoudnessFlags(a.flags)
}

// chooseInstallation finds out, once, which installation the command uses. The directory of a context must exist.
func (a *app) chooseInstallation() (contexts.Choice, error) {
	if a.choice != nil {
		return *a.choice, nil
	}
	given := contexts.Given{Variable: a.env.Getenv(config.EnvDir), DefaultDir: config.DefaultDir(a.env.Getenv)}
	if a.flags != nil {
		given.HasConfigDir = a.flags.Changed(config.DirFlag)
		given.HasContext = a.flags.Changed(contextFlag)
		given.Context, _ = a.flags.GetString(contextFlag) // "" without the flag
	}
	choice, err := contexts.Choose(given, a.contextsFile().Read)
	if err == nil {
		err = choice.CheckDir()
	}
	if err != nil {
		return contexts.Choice{}, err
	}
	a.choice = &choice
	return choice, nil
}

func (a *app) contextsFile() contexts.File { return contexts.Locate(a.env.Getenv) }

// settingsEnvironment returns the environment that the settings are read from: in it $SKYCONF_DIR is the directory of
// the context that was chosen.
func (a *app) settingsEnvironment() (func(string) string, error) {
	choice, err := a.chooseInstallation()
	if err != nil || choice.Dir == "" {
		return a.env.Getenv, err
	}
	return func(name string) string {
		if name == config.EnvDir {
			return choice.Dir
		}
		return a.env.Getenv(name)
	}, nil
}

// readSettings reads the settings of the installation that the command uses, even if they were read before.
func (a *app) readSettings() (*config.Config, error) {
	env, err := a.settingsEnvironment()
	if err != nil {
		return nil, err
	}
	return config.Load(a.flags, env)
}

// findPaths finds the state directory of that installation without reading settings.
func (a *app) findPaths() (*config.Config, error) {
	env, err := a.settingsEnvironment()
	if err != nil {
		return nil, err
	}
	return config.LoadPaths(a.flags, env)
}

// describeAllOf says of which installation the clusters of --all are, as " of context NAME", where a person has
// several; it is empty otherwise, and without --all.
func (a *app) describeAllOf(v *selectorValue) (string, error) {
	if !v.all {
		return "", nil
	}
	paths, err := a.findPaths()
	if err != nil {
		return "", &usageError{err}
	}
	switch all, err := a.contextsFile().Read(); {
	case err != nil || len(all.Named) == 0:
		return "", nil //nolint:nilerr // the installation was chosen without the file
	case a.choice.Context == "":
		return " of the installation in " + printable.Line(paths.Dir), nil
	}
	return " of context " + printable.Line(a.choice.Context), nil
}

// describeContext names the context that the command uses, with its directory; it is empty if that is the default one,
// or if a flag or a variable named the directory.
func (a *app) describeContext() string {
	if a.choice == nil || !a.choice.IsNamed() {
		return ""
	}
	return printable.Line(fmt.Sprintf("context %s (%s)", a.choice.Context, a.choice.Dir))
}
