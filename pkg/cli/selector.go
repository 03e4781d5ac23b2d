package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

const wantSelector = "a label selector, such as team=vision, 'env in (dev,test)', owner or '!owner'; " +
	"commas join several, which all have to match"

// selectorValue is the flag -l: it selects clusters by their labels, with the syntax of kubectl.
type selectorValue struct {
	text     string
	selector labels.Selector
}

// addSelectorFlag adds -l; what says what is done with the clusters that match.
func addSelectorFlag(cmd *cobra.Command, what string) *selectorValue {
	v := &selectorValue{}
	cmd.Flags().VarP(v, "selector", "l", what+" whose labels match, such as team=vision,env!=prod")
	panicOnError(cmd.RegisterFlagCompletionFunc("selector", cobra.NoFileCompletions))
	return v
}

func (v *selectorValue) String() string { return v.text }
func (v *selectorValue) Type() string   { return "selector" }

// Set refuses an empty selector: it would match every cluster where a script's variable is unset.
func (v *selectorValue) Set(text string) error {
	if strings.TrimSpace(text) == "" {
		return errors.New("must be " + wantSelector)
	}
	parsed, err := labels.Parse(text)
	if err != nil {
		return fmt.Errorf("must be %s (%w)", wantSelector, err)
	}
	v.text, v.selector = text, parsed
	return nil
}

// selectAll selects all clusters.
func (v *selectorValue) selectAll() { v.text, v.selector = "", labels.Everything() }

// isSet reports whether the flag was given.
func (v *selectorValue) isSet() bool { return v.selector != nil }

// matchesCluster reports whether a cluster is selected. Without the flag every cluster is.
func (v *selectorValue) matchesCluster(c *api.Cluster) bool {
	return v.selector == nil || v.selector.Matches(labels.Set(c.Metadata.Labels))
}

// keepMatching leaves out the clusters that are not selected.
func (v *selectorValue) keepMatching(clusters []api.Cluster) []api.Cluster {
	return slices.DeleteFunc(clusters, func(c api.Cluster) bool { return !v.matchesCluster(&c) })
}

// refuseWithNames refuses names beside a selector.
func (v *selectorValue) refuseWithNames(names []string) error {
	if v.isSet() && len(names) > 0 {
		return usageErrorf("use names or -l, not both (%s, -l %s)", strings.Join(names, " "), v.text)
	}
	return nil
}

// findNames returns the names of the selected clusters, in order. Its error names the clusters that cannot be read, of
// which it is unknown whether they match.
func (v *selectorValue) findNames(ctx context.Context, s *store.Store) ([]string, error) {
	clusters, err := s.ListClusterSummaries(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, c := range v.keepMatching(clusters) {
		names = append(names, c.Metadata.Name)
	}
	slices.Sort(names)
	return names, nil
}

// resolveNames returns the given names, or those of the clusters that match the selector. If none does, it says so and
// returns none.
func (a *app) resolveNames(ctx context.Context, v *selectorValue, names []string) ([]string, error) {
	if !v.isSet() {
		return names, nil
	}
	ops, err := a.connectClient(ctx)
	if err != nil {
		return nil, err
	}
	s, err := ops.ConnectStore(ctx)
	if err != nil {
		return nil, err
	}
	found, err := v.findNames(ctx, s)
	if err == nil && len(found) == 0 {
		a.printNothingMatches(v)
	}
	return found, err
}

// runForSelected runs a command for each selected cluster, also after one that fails. It prints each error at once.
func (a *app) runForSelected(ctx context.Context, v *selectorValue,
	run func(ctx context.Context, name string) error) error {
	names, err := a.resolveNames(ctx, v, nil)
	if err != nil {
		return err
	}
	return a.runForEach(ctx, names, run)
}

// runForEach runs a command for each cluster until ctx ends, also after one that fails. It prints each error at once.
func (a *app) runForEach(ctx context.Context, names []string,
	run func(ctx context.Context, name string) error) error {
	var errs []error
	for _, name := range names {
		err := run(ctx, name)
		if err == nil {
			continue
		}
		a.printError(err)
		errs = append(errs, &reportedError{err})
		if exitCode(err) == ExitInterrupted {
			break
		}
	}
	return errors.Join(errs...)
}

// printNothingMatches says that a selector matches no cluster. That is no error, as in kubectl.
func (a *app) printNothingMatches(v *selectorValue) {
	switch {
	case a.hasStructuredOutput():
	case v.text == "":
		fmt.Fprintln(a.notes(), "There are no clusters.")
	default:
		fmt.Fprintf(a.notes(), "No cluster matches %s.\n", v.text)
	}
}

// requireClusterNamesOr accepts the names of clusters; none are needed if the flag instead is given.
func requireClusterNamesOr(instead string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 && !cmd.Flags().Changed(instead) {
			return usageErrorf("missing the name of a cluster: %s NAME... or -l SELECTOR", cmd.CommandPath())
		}
		var errs []error
		for i, name := range args {
			if slices.Contains(args[:i], name) {
				errs = append(errs, usageErrorf("cluster %s is named twice", name))
				continue
			}
			errs = append(errs, api.ValidateStoredName(name))
		}
		return errors.Join(errs...)
	}
}

// addAllFlag adds --all, which stands for the names of all clusters.
func addAllFlag(cmd *cobra.Command) *bool { return cmd.Flags().Bool("all", false, "all clusters") }

// requireClusterNamesSelectorOrAll accepts the names of clusters, or one of the flags that stand for them.
func requireClusterNamesSelectorOrAll(cmd *cobra.Command, names []string, selector *selectorValue, all bool) error {
	switch {
	case all && (len(names) > 0 || selector.isSet()):
		return usageErrorf("use names, -l or --all, not two of them")
	case all:
		return nil
	}
	return errors.Join(selector.refuseWithNames(names), requireClusterNamesOr("selector")(cmd, names))
}
