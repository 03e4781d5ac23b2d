package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
)

func (a *app) newGetEventsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "events [CLUSTER]",
		Aliases: []string{"event"},
		Short:   "Show the events of clusters",
		Long: `Shows the events of all clusters, or of the one you name, the latest last: drift that was found,
repairs and their results, and orphans. Repeated events share one line with a COUNT. Events are
kept for a week after they last occurred. You can also name a cluster that was deleted.`,
		Example: `  skyctl get events
  skyctl get events dev
  skyctl get events dev -w
  skyctl get events dev -o json`,
		Args:              allowClusterName,
		ValidArgsFunction: a.completeClusterNames,
	}
	l := &getEventsOptions{app: a, output: addOutputFlag(cmd, render.AsTable, render.AsWide, render.AsJSON,
		render.AsYAML)}
	cmd.Flags().BoolVarP(&l.watch, "watch", "w", false, "keep printing new events until Ctrl-C")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return l.run(cmd.Context(), firstOrEmpty(args)) }
	return cmd
}

// getEventsOptions is one run of get events.
type getEventsOptions struct {
	*app
	watch  bool
	output *enumValue
}

func (l *getEventsOptions) run(ctx context.Context, cluster string) error {
	ops, err := l.connectClient(ctx)
	if err != nil {
		return err
	}
	if l.watch {
		return l.followEvents(ctx, ops, cluster)
	}
	return l.runWithSpinner("Fetching events", l.output.isStructured(), func(s *terminal.Spinner) error {
		events, err := ops.ListEvents(ctx, cluster)
		if err != nil {
			return err
		}
		s.KeepLine()
		if l.output.isStructured() {
			return render.WriteStructured(l.env.Out, l.output.form(),
				render.NewEventList(events))
		}
		_, err = io.WriteString(l.env.Out, render.NewEventTable(events, l.env.Now()).String())
		return err
	})
}

// followEvents prints all events, then each new one. It ends with Ctrl-C.
func (l *getEventsOptions) followEvents(ctx context.Context, ops *client.Client, cluster string) error {
	known, err := ops.ListEvents(ctx, cluster)
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
		if _, err := io.WriteString(l.env.Out, t.String()); err != nil {
			return err
		}
		for _, e := range known {
			shown[normalizeTimes(e)] = true
		}
	}
	for e := range watched {
		if shown[normalizeTimes(e)] { // the watch starts with the known events
			delete(shown, normalizeTimes(e))
			continue
		}
		if err := l.printEvent(t, e); err != nil {
			return err
		}
	}
	return nil
}

// normalizeTimes makes two reads of the same event compare equal.
func normalizeTimes(e api.Event) api.Event {
	e.First, e.Last = e.First.UTC().Round(0), e.Last.UTC().Round(0)
	return e
}

func (l *getEventsOptions) printEvent(t *render.Table, e api.Event) error {
	if l.output.isStructured() {
		return render.WriteStructuredItem(l.env.Out, l.output.form(), e)
	}
	_, err := io.WriteString(l.env.Out, t.RenderNextRow(render.EventRow(e, l.env.Now())...))
	return err
}
