package cli

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
)

func (a *app) newGetEventsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "events [CLUSTER]",
		Aliases: listAliases("events"),
		Short:   "Show the events of clusters",
		Long: `Shows the events of all clusters, or of the one you name, the latest last: drift that was found,
repairs and their results, and orphans. Repeated events share one line with a COUNT. Events are
kept for a week after they last occurred. You can also name a cluster that was deleted; -l shows the
events of the clusters that have the labels when the command starts.`,
		Example: `  skyctl get events
  skyctl get events dev
  skyctl get events dev -w
  skyctl get events -l team=vision
  skyctl get events dev -o json`,
		Args:              allowClusterName,
		ValidArgsFunction: a.completeClusterNames,
	}
	l := &getEventsOptions{app: a, output: addListOutputFlags(cmd)}
	cmd.Flags().BoolVarP(&l.watch, "watch", "w", false, "keep printing new events until Ctrl-C")
	l.selector = a.addSelectorFlag(cmd, "only events of clusters")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := l.selector.refuseWithNames(args); err != nil {
			return err
		}
		return l.run(cmd.Context(), firstOrEmpty(args))
	}
	return cmd
}

// getEventsOptions is one run of get events.
type getEventsOptions struct {
	*app
	watch    bool
	output   *outputFlags
	selector *selectorValue
	// selected are the UIDs of the clusters that the selector matches; nil if there is none.
	selected map[string]bool
}

func (l *getEventsOptions) run(ctx context.Context, cluster string) error {
	ops, err := l.connectClient(ctx)
	if err != nil {
		return err
	}
	if err := l.readSelected(ctx, ops); err != nil {
		return err
	}
	if l.watch {
		return l.followEvents(ctx, ops, cluster)
	}
	return l.runWithSpinner("Fetching events", l.output.isStructured(), func(s *terminal.Spinner) error {
		events, err := l.listEvents(ctx, ops, cluster)
		if err != nil {
			return err
		}
		if err := sortObjects(l.output, events); err != nil {
			return err
		}
		s.KeepLine()
		if l.output.isStructured() {
			return l.output.write(l.env.Out, render.NewEventList(events))
		}
		return l.output.writeTable(l.env.Out, render.NewEventTable(events, l.env.Now()))
	})
}

// readSelected reads which clusters the selector matches.
func (l *getEventsOptions) readSelected(ctx context.Context, ops *client.Client) error {
	if !l.selector.isSet() {
		return nil
	}
	s, err := ops.ConnectStore(ctx)
	if err != nil {
		return err
	}
	clusters, err := s.ListClusterSummaries(ctx)
	if err != nil {
		return err
	}
	l.selected = map[string]bool{}
	for _, c := range l.selector.keepMatching(clusters) {
		l.selected[c.Metadata.UID] = true
	}
	return nil
}

func (l *getEventsOptions) isSelected(e api.Event) bool {
	return l.selected == nil || l.selected[e.UID]
}

func (l *getEventsOptions) listEvents(ctx context.Context, ops *client.Client, cluster string) ([]api.Event, error) {
	events, err := ops.ListEvents(ctx, cluster)
	return slices.DeleteFunc(events, func(e api.Event) bool { return !l.isSelected(e) }), err
}

// followEvents prints all events, then each new one. It ends with Ctrl-C.
func (l *getEventsOptions) followEvents(ctx context.Context, ops *client.Client, cluster string) error {
	known, err := l.listEvents(ctx, ops, cluster)
	if err != nil {
		return err
	}
	watched, err := ops.WatchEvents(ctx, cluster)
	if err != nil {
		return err
	}
	t := render.NewEventTable(known, l.env.Now())
	t.SetMinWidths(0, 0, len(api.EventWarning), 20, 24, 20)
	shown := map[api.Event]bool{}
	if !l.output.isStructured() {
		if err := l.output.writeTable(l.env.Out, t); err != nil {
			return err
		}
		for _, e := range known {
			shown[normalizeTimes(e)] = true
		}
	}
	for e := range watched {
		if !l.isSelected(e) {
			continue
		}
		if shown[normalizeTimes(e)] { // the watch starts with the known events
			delete(shown, normalizeTimes(e))
			continue
		}
		if err := l.printEvent(t, e); err != nil {
			return err
		}
	}
	return endWatch(ctx)
}

// normalizeTimes makes two reads of the same event compare equal.
func normalizeTimes(e api.Event) api.Event {
	e.First, e.Last = e.First.UTC().Round(0), e.Last.UTC().Round(0)
	return e
}

func (l *getEventsOptions) printEvent(t *render.Table, e api.Event) error {
	if l.output.isStructured() {
		return l.output.writeItem(l.env.Out, e)
	}
	return terminal.WriteNextRow(l.env.Out, t, render.EventRow(e, l.env.Now()))
}
