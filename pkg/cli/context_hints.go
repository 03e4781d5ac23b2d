package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/lazyregexp"
)

// commandInText matches a command line of skyctl in a text, with its first two words.
var commandInText = lazyregexp.New(`\bskyctl ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?`)

// repeatContextInHints makes the commands that messages name have the --context of this command line, so that they can
// be copied. This is the only place that does so. What machines, files and tables say stays as it is.
func (a *app) repeatContextInHints(root *cobra.Command) {
	if w, ok := a.env.Err.(*terminal.SanitizingWriter); ok {
		w.Rewrite = func(text string) string { return addContextToCommands(text, a.contextFlagValue(), root) }
	}
	if w, ok := a.env.Out.(*terminal.SanitizingWriter); ok {
		w.Rewrite = func(text string) string {
			if a.command == nil || isAboutSkyctl(a.command) || a.hasStructuredOutput() {
				return text
			}
			return addContextToCommands(text, a.contextFlagValue(), root)
		}
	}
}

// isAboutSkyctl reports whether a command prints help or a completion script.
func isAboutSkyctl(cmd *cobra.Command) bool {
	return cmd.Name() == "help" || cmd.HasParent() && cmd.Parent().Name() == "completion"
}

// contextFlagValue is the value of --context; empty if the flag was not given, or has no effect beside --config-dir.
func (a *app) contextFlagValue() string {
	if a.flags == nil || a.flags.Changed(config.DirFlag) {
		return ""
	}
	name, _ := a.flags.GetString(contextFlag) // "" without the flag
	return name
}

// addContextToCommands adds --context to the commands of skyctl in a text, except to those that are about contexts.
func addContextToCommands(text, context string, root *cobra.Command) string {
	if context == "" || !strings.Contains(text, "skyctl ") {
		return text
	}
	return commandInText.Compiled().ReplaceAllStringFunc(text, func(found string) string {
		words := strings.Fields(found)
		verb, isAboutContexts := words[1], strings.HasSuffix(strings.TrimSuffix(words[len(words)-1], "s"), "-context")
		if findSubcommand(root, verb) == nil || verb == "help" || verb == "completion" || isAboutContexts {
			return found
		}
		return "skyctl --" + contextFlag + " " + context + strings.TrimPrefix(found, "skyctl")
	})
}
