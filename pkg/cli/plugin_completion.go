package cli

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/cli/plugin"
)

// completerTimeout is how long a shell waits for the completions of a plugin.
const completerTimeout = 2 * time.Second

// completePluginArgs asks the completer of a plugin. Without one, the shell offers files.
func (a *app) completePluginArgs(ctx context.Context, words, args []string) ([]string, cobra.ShellCompDirective) {
	program, found := plugin.FindCompleter(a.env.Getenv("PATH"), words)
	if !found {
		return nil, cobra.ShellCompDirectiveDefault
	}
	ctx, cancel := context.WithTimeout(ctx, completerTimeout+a.env.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env, cmd.WaitDelay = a.environ(), completerTimeout
	out, err := cmd.Output()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return parseCompletions(string(out))
}

// parseCompletions reads what a completer prints: a completion per line, and at the end, if it wants one, a line with a
// colon and the number of a cobra.ShellCompDirective.
func parseCompletions(text string) ([]string, cobra.ShellCompDirective) {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if number, is := strings.CutPrefix(lines[len(lines)-1], ":"); is {
		if directive, err := strconv.Atoi(number); err == nil {
			return lines[:len(lines)-1], cobra.ShellCompDirective(directive)
		}
	}
	return lines, cobra.ShellCompDirectiveDefault
}
