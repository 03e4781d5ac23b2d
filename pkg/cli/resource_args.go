package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// arrangeArgs brings the arguments of a command on objects into the order that cobra needs, the kind of objects right
// behind the verb: `get -w clusters`, `get cluster/dev` and `get cluster dev -w` are the same. Objects of several kinds
// become several command lines; all have the same flags. Other commands stay as they are.
func arrangeArgs(root *cobra.Command, args []string) [][]string {
	at := findVerb(root, args)
	if at < 0 {
		return [][]string{args}
	}
	before, verb, rest := args[:at], findSubcommand(root, args[at]), args[at+1:]
	kind := findKind(verb, rest)
	if kind < 0 {
		return [][]string{args}
	}
	var lines [][]string
	for _, name := range splitKinds(rest, kind) {
		if findSubcommand(verb, name.kind) == nil {
			return [][]string{args} // the verb says which kinds it has
		}
		lines = append(lines, slices.Concat(before, []string{args[at], name.kind}, name.args))
	}
	return lines
}

// findVerb returns where the first command word stands, if its subcommands are kinds of objects that exist; else -1.
func findVerb(root *cobra.Command, args []string) int {
	for i := 0; i < len(args); i++ {
		switch word := args[i]; {
		case word == "--":
			return -1
		case strings.HasPrefix(word, "-"):
			if takesNext(word, root) {
				i++
			}
		case word == "create" || findSubcommand(root, word) == nil:
			return -1 // the names of a create are new
		default:
			return i
		}
	}
	return -1
}

// findKind returns which argument of a verb says the kind: a word, or the part of KIND/NAME before the slash.
func findKind(verb *cobra.Command, rest []string) int {
	for i := 0; i < len(rest); i++ {
		switch word := rest[i]; {
		case word == "--":
			return -1
		case strings.HasPrefix(word, "-") && word != "-":
			if takesNext(word, verb.Commands()...) {
				i++
			}
		default:
			kinds, _, _ := strings.Cut(word, "/")
			for part := range strings.SplitSeq(kinds, ",") {
				if _, known := findResource(part); !known {
					return -1
				}
			}
			return i
		}
	}
	return -1
}

// kindArgs are the arguments behind one kind of objects.
type kindArgs struct {
	kind string
	args []string
}

// splitKinds separates the arguments by the kinds of objects that they name. kind is where the first stands.
func splitKinds(rest []string, kind int) []kindArgs {
	if !strings.Contains(rest[kind], "/") {
		var all []kindArgs
		others := slices.Concat(rest[:kind], rest[kind+1:])
		for word := range strings.SplitSeq(rest[kind], ",") {
			all = append(all, kindArgs{word, others})
		}
		return all
	}
	type named struct{ kind, name string }
	found := map[int]named{}
	var kinds []string
	for i, word := range rest[kind:] {
		before, name, isNamed := strings.Cut(word, "/")
		r, known := findResource(before)
		if !isNamed || !known || strings.ContainsAny(name, "=/") || word == "--" {
			continue
		}
		found[kind+i] = named{r.name, name}
		if !slices.Contains(kinds, r.name) {
			kinds = append(kinds, r.name)
		}
	}
	var all []kindArgs
	for _, k := range kinds {
		line := kindArgs{kind: k}
		for i, word := range rest {
			if n, isName := found[i]; !isName {
				line.args = append(line.args, word)
			} else if n.kind == k {
				line.args = append(line.args, n.name)
			}
		}
		all = append(all, line)
	}
	return all
}

// findSubcommand returns the subcommand of that name or alias; nil if there is none.
func findSubcommand(cmd *cobra.Command, word string) *cobra.Command {
	for _, c := range cmd.Commands() {
		if c.Name() == word || c.HasAlias(word) {
			return c
		}
	}
	return nil
}

// takesNext reports whether the argument behind a flag is its value, in one of the commands.
func takesNext(flag string, commands ...*cobra.Command) bool {
	if strings.Contains(flag, "=") {
		return false
	}
	for _, c := range commands {
		name := strings.TrimLeft(flag, "-")
		f := c.Flag(name)
		if !strings.HasPrefix(flag, "--") {
			if len(name) != 1 {
				return false // -oname, or several switches
			}
			if f = c.Flags().ShorthandLookup(name); f == nil {
				f = c.InheritedFlags().ShorthandLookup(name)
			}
		}
		if f != nil {
			return f.NoOptDefVal == ""
		}
	}
	return false
}
