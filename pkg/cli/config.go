package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
)

func (a *app) newConfigCommand() *cobra.Command {
	return newCommandGroup("config", "Show and change the settings, and choose among installations",
		`Shows the settings and where their values come from, and changes config.yaml in the state directory. A
flag overrides the environment, and the environment overrides the file. skyctl help settings lists all
settings.

A context is a name for an installation, that is, for its state directory. It is for people with several:
their own and that of a team, for example.`, `  skyctl config view
  skyctl config get rke2.version
  skyctl config set rke2.cni cilium
  skyctl config set-context team --config-dir ~/.skyconf-team
  skyctl config use-context team`,
		a.newConfigViewCommand(), a.newConfigGetCommand(), a.newConfigSetCommand(), a.newConfigUnsetCommand(),
		a.newGetContextsCommand(), a.newCurrentContextCommand(), a.newUseContextCommand(), a.newSetContextCommand(),
		a.newRenameContextCommand(), a.newDeleteContextCommand())
}

// settingList is the JSON form of the settings.
type settingList struct {
	Kind string `json:"kind"`
	File string `json:"file"`
	// Context is the name of the installation; empty if a flag or a variable named its directory.
	Context string                 `json:"context,omitempty"`
	Items   []config.SettingReport `json:"items"`
}

func (a *app) newConfigViewCommand() *cobra.Command {
	var onlySet bool
	cmd := &cobra.Command{
		Use:   "view",
		Short: "Show all settings and where their values come from",
		Long: `Shows every setting with its value, and the flag, the variable or the file that it comes from. Names
and passwords in addresses are not shown. A value without a source is a default.`,
		Example: `  skyctl config view
  skyctl config view --only-set
  skyctl config view -o json`,
		Args: refuseArgs,
	}
	cmd.Flags().BoolVar(&onlySet, "only-set", false, "leave out defaults")
	output := addOutputFlags(cmd)
	cmd.RunE = func(*cobra.Command, []string) error { return a.showSettings(onlySet, output) }
	return cmd
}

func (a *app) showSettings(onlySet bool, output *outputFlags) error {
	cfg, err := a.loadSettings()
	if err != nil {
		return err
	}
	list := settingList{Kind: "SettingList", File: cfg.ConfigFile(), Context: a.choice.Context,
		Items: []config.SettingReport{}}
	rows := [][]string{{"SETTING", "VALUE", "FROM"}}
	for _, r := range cfg.ReportSettings() {
		if onlySet && r.From == config.FromDefault {
			continue
		}
		list.Items = append(list.Items, r)
		rows = append(rows, []string{r.Key, r.Value, r.Source})
	}
	if output.isStructured() {
		return output.write(a.env.Out, list)
	}
	if where := a.describeContext(); where != "" {
		a.printNote("these are the settings of " + where)
	}
	_, err = io.WriteString(a.env.Out, strings.Join(render.AlignColumns(rows), "\n")+"\n")
	return err
}

func (a *app) newConfigGetCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "get SETTING",
		Short: "Print the value of a setting",
		Long: `Prints the value that commands use: that of the flag, the variable, config.yaml, or the default. It is
empty if a setting without a default is not set.`,
		Example: `  skyctl config get rke2.version
  skyctl config get reconcile.interval`,
		Args:              requireSetting,
		ValidArgsFunction: completeSettings,
		RunE: func(_ *cobra.Command, args []string) error {
			cfg, err := a.loadSettings()
			if err != nil {
				return err
			}
			for _, r := range cfg.ReportSettings() {
				if r.Key == args[0] {
					fmt.Fprintln(a.env.Out, r.Value)
				}
			}
			return nil
		},
	}
}

// requireSetting accepts the key of one setting.
func requireSetting(cmd *cobra.Command, args []string) error {
	if err := requireOneArgFor(cmd, args, "a setting"); err != nil {
		return err
	}
	return checkSettingKey(args[0])
}

func checkSettingKey(key string) error {
	if err := config.CheckKey(key); err != nil {
		return &usageError{err}
	}
	return nil
}

func (a *app) newConfigSetCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "set SETTING VALUE | SETTING=VALUE...",
		Short: "Write settings into config.yaml",
		Long: `Writes settings into config.yaml in the state directory. Its comments, order and other content stay. The
file is checked first as commands read it, and is not changed if it would be invalid. Settings that
need each other, such as etcd.endpoints and temporal.address, are written in one command. Separate
several values of one setting with commas.

A running skyd uses some settings only after a restart; the command says so.`,
		Example: `  skyctl config set rke2.cni cilium
  skyctl config set reconcile.interval=5m reconcile.orphanGrace=1h`,
		ValidArgsFunction: completeSettingsAndValues,
		RunE: func(cmd *cobra.Command, args []string) error {
			changes, err := parseSettingValues(cmd, args)
			if err != nil {
				return err
			}
			return a.changeSettings(changes)
		},
	}
}

func (a *app) newConfigUnsetCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "unset SETTING...",
		Short:             "Remove settings from config.yaml",
		Long:              `Removes settings from config.yaml in the state directory. The rest of the file stays.`,
		Example:           `  skyctl config unset rke2.cni`,
		ValidArgsFunction: completeSettings,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return requireOneArgFor(cmd, args, "a setting")
			}
			var changes []config.FileChange
			for _, key := range args {
				if err := checkSettingKey(key); err != nil {
					return err
				}
				changes = append(changes, config.FileChange{Key: key, Remove: true})
			}
			return a.changeSettings(changes)
		},
	}
}

// parseSettingValues reads a key and its value, or pairs with an equals sign.
func parseSettingValues(cmd *cobra.Command, args []string) ([]config.FileChange, error) {
	if len(args) == 2 && !strings.Contains(args[0], "=") {
		return []config.FileChange{{Key: args[0], Value: args[1]}}, checkSettingKey(args[0])
	}
	var changes []config.FileChange
	for _, arg := range args {
		key, value, found := strings.Cut(arg, "=")
		if err := checkSettingKey(key); err != nil {
			return nil, err
		}
		if !found {
			return nil, usageErrorf("missing the value of %s: %s %[1]s VALUE", key, cmd.CommandPath())
		}
		changes = append(changes, config.FileChange{Key: key, Value: value})
	}
	if len(changes) == 0 {
		return nil, usageErrorf("missing a setting and its value: %s SETTING VALUE", cmd.CommandPath())
	}
	return changes, nil
}

func (a *app) changeSettings(changes []config.FileChange) error {
	paths, err := a.findPaths()
	if err != nil {
		return &usageError{err}
	}
	changed, err := paths.ChangeFile(a.env.Getenv, changes...)
	if err != nil {
		return &usageError{err}
	}
	if !changed {
		fmt.Fprintf(a.env.Out, "%s is unchanged.\n", paths.ConfigFile())
		return nil
	}
	for _, c := range changes {
		verb := "Set"
		if c.Remove {
			verb = "Removed"
		}
		fmt.Fprintf(a.env.Out, "%s %s in %s.\n", verb, c.Key, paths.ConfigFile())
	}
	return a.noteEffectOfSettings(changes)
}

// noteEffectOfSettings says what keeps changed settings from having an effect.
func (a *app) noteEffectOfSettings(changes []config.FileChange) error {
	cfg, err := a.loadSettings()
	if err != nil {
		a.printNote("a flag or a variable keeps commands from using it: " + err.Error())
		return nil //nolint:nilerr // the file was changed
	}
	worker := false
	for _, c := range changes {
		if source := cfg.CommandSetting(c.Key); source != "" {
			a.printNote(fmt.Sprintf("%s overrides %s in the file", source, c.Key))
		}
		worker = worker || cfg.ConcernsWorker(c.Key)
	}
	if cfg.IsExternal() && worker {
		a.printNote("a worker reads its own settings when it starts: set it where skyd worker runs too, and restart " +
			"that")
		return nil
	}
	state, err := daemon.FindRunning(cfg)
	if err != nil || !worker {
		return nil //nolint:nilerr // no server runs
	}
	var unseen []string // what the server does not say of its settings, such as those of the bastion
	for _, c := range changes {
		if _, said := state.Settings[c.Key]; !said && cfg.ConcernsWorker(c.Key) {
			unseen = append(unseen, c.Key)
		}
	}
	if len(unseen) > 0 {
		a.printNote(fmt.Sprintf("the running server has read %s when it started; to apply the change: %s",
			strings.Join(unseen, ", "), restartServerCommand))
	}
	for _, d := range cfg.DifferencesFrom(state.Settings) {
		if slices.ContainsFunc(changes, func(c config.FileChange) bool { return c.Key == d.Key }) {
			a.printNote(fmt.Sprintf("the running server uses %s %s; to apply the change: %s", d.Key,
				valueOrUnset(d.Used), restartServerCommand))
		}
	}
	return nil
}

// completeSettings offers the settings that are not in args.
func completeSettings(_ *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	var keys []string
	for _, s := range config.ListSettings() {
		if strings.HasPrefix(s.Key, toComplete) && !slices.Contains(args, s.Key) {
			keys = append(keys, cobra.CompletionWithDesc(s.Key, s.Help))
		}
	}
	return keys, cobra.ShellCompDirectiveNoFileComp
}

// completeSettingsAndValues offers the settings, and the values of the one before.
func completeSettingsAndValues(cmd *cobra.Command, args []string, toComplete string) ([]string,
	cobra.ShellCompDirective) {
	key, value, pair := strings.Cut(toComplete, "=")
	prefix := ""
	switch {
	case pair:
		prefix = key + "="
	case len(args) == 1 && !strings.Contains(args[0], "="):
		key, value = args[0], toComplete
	default:
		return completeSettings(cmd, args, toComplete)
	}
	if config.CheckKey(key) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var values []string
	for _, v := range describeSettingValues(key) {
		if strings.HasPrefix(v, value) {
			values = append(values, prefix+v)
		}
	}
	return values, cobra.ShellCompDirectiveDefault // some values are paths
}
