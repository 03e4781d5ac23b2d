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
	// all is the flag --all, of the commands that have it.
	all bool
}

// addSelectorFlag adds -l; what says what is done with the clusters that match.
func (a *app) addSelectorFlag(cmd *cobra.Command, what string) *selectorValue {
	v := &selectorValue{}
	cmd.Flags().VarP(v, "selector", "l", what+" whose labels match, such as team=vision,env!=prod")
	registerCompletion(cmd, "selector", a.completeLabels)
	return v
}

// addSelectionFlags adds -l and --all, which stand for the names of clusters.
func (a *app) addSelectionFlags(cmd *cobra.Command, what string) *selectorValue {
	v := a.addSelectorFlag(cmd, what)
	cmd.Flags().BoolVar(&v.all, "all", false, "all "+what)
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

// isSet reports whether -l or --all was given.
func (v *selectorValue) isSet() bool { return v.selector != nil || v.all }

// describe says which clusters are selected.
func (v *selectorValue) describe() string {
	if v.all {
		return "all clusters"
	}
	return "the clusters that match " + v.text
}

// matchesCluster reports whether a cluster is selected. Without -l every cluster is.
func (v *selectorValue) matchesCluster(c *api.Cluster) bool {
	return v.selector == nil || v.selector.Matches(labels.Set(c.Metadata.Labels))
}

// keepMatching leaves out the clusters that are not selected.
func (v *selectorValue) keepMatching(clusters []api.Cluster) []api.Cluster {
	return slices.DeleteFunc(clusters, func(c api.Cluster) bool { return !v.matchesCluster(&c) })
}

// refuseWithNames refuses names beside -l or --all, and both flags.
func (v *selectorValue) refuseWithNames(names []string) error {
	switch {
	case v.all && (len(names) > 0 || v.selector != nil):
		return usageErrorf("use names, -l or --all, not two of them")
	case v.isSet() && len(names) > 0:
		return usageErrorf("use names or -l, not both (%s, -l %s)", strings.Join(names, " "), v.text)
	}
	return nil
}

// requireNames accepts the names of clusters, or a flag that stands for them.
func (v *selectorValue) requireNames(cmd *cobra.Command, names []string) error {
	switch err := v.refuseWithNames(names); {
	case err != nil:
		return err
	case !v.isSet() && len(names) == 0:
		return usageErrorf("missing the name of a cluster: %s NAME..., -l SELECTOR or --all", cmd.CommandPath())
	}
	return validateClusterNames(names)
}

// findNames returns the names of the selected clusters, in order. Its error names the clusters that cannot be read, of
// which it is unknown whether they match -l; --all selects them too.
func (v *selectorValue) findNames(ctx context.Context, s *store.Store) ([]string, error) {
	clusters, err := s.ListClusterSummaries(ctx)
	names := store.CorruptClusterNames(err)
	if err != nil && (!v.all || len(names) == 0) {
		return nil, err
	}
	for _, c := range v.keepMatching(clusters) {
		names = append(names, c.Metadata.Name)
	}
	slices.Sort(names)
	return names, nil
}

// resolveNames returns the given names, or those of the selected clusters. If there is none, it says so and returns
// none.
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

// runThenAwait begins something with each cluster, also after one where that fails, and then waits for those that it
// has begun with. A nil await waits for none. It returns the clusters with which all of it succeeded.
func (a *app) runThenAwait(ctx context.Context, names []string,
	begin func(ctx context.Context, name string) (*api.Cluster, error),
	await func(ctx context.Context, begun *api.Cluster) error) ([]*api.Cluster, error) {
	var begun, ended []*api.Cluster
	err := a.runForEach(ctx, names, func(ctx context.Context, name string) error {
		c, err := begin(ctx, name)
		if err == nil {
			begun = append(begun, c)
		}
		return err
	})
	if await == nil {
		return begun, err
	}
	if exitCode(err) == ExitInterrupted {
		return nil, err
	}
	started := map[string]*api.Cluster{}
	var waiting []string
	for _, c := range begun {
		started[c.Metadata.Name] = c
		waiting = append(waiting, c.Metadata.Name)
	}
	err = errors.Join(err, a.runForEach(ctx, waiting, func(ctx context.Context, name string) error {
		err := await(ctx, started[name])
		if err == nil {
			ended = append(ended, started[name])
		}
		return err
	}))
	return ended, err
}

// printNothingMatches says that a selector matches no cluster. That is no error, as in kubectl.
func (a *app) printNothingMatches(v *selectorValue) {
	switch {
	case a.hasStructuredOutput():
	case v.all:
		fmt.Fprintln(a.notes(), "There are no clusters.")
	default:
		fmt.Fprintf(a.notes(), "No cluster matches %s.\n", v.text)
	}
}

// requireExisting refuses the names of several clusters if one of them does not exist.
func requireExisting(ctx context.Context, s *store.Store, names []string) error {
	var errs []error
	for _, name := range names {
		if _, err := s.ReadCluster(ctx, name); hasType[*store.NotFoundError](err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
