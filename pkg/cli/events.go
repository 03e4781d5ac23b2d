package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operations"
)

func (a *app) getEvents() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "events [CLUSTER]",
		Aliases: []string{"event"},
		Short:   "Show what happened to clusters, and why",
		Long: `Shows what happened to all clusters, or to the one you name: drift that was found, what was
done about it and how that ended, machines that belong to no cluster. The latest is last. What
happened several times is one event with a COUNT. Events are kept for a week after they last
happened, also those of a cluster that was deleted, which are found by its name.`,
		Example: `  skyctl get events
  skyctl get events dev
  skyctl get events dev -w
  skyctl get events dev -o json`,
		Args:              maybeName,
		ValidArgsFunction: a.completeNames,
	}
	l := &eventLog{app: a, output: outputFlag(cmd, asTable, asWide, asJSON, asYAML)}
	cmd.Flags().BoolVarP(&l.watch, "watch", "w", false, "go on and show what happens, until Ctrl-C")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return l.run(cmd.Context(), first(args)) }
	return cmd
}

// maybeName takes the name of a cluster, or none.
func maybeName(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return nameArg(cmd, args)
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// eventLog is one get events.
type eventLog struct {
	*app
	watch  bool
	output *choice
}

// eventList is several events as they are printed for programs.
type eventList struct {
	APIVersion string      `json:"api_version"`
	Kind       string      `json:"kind"`
	Items      []api.Event `json:"items"`
}

func (l *eventLog) run(ctx context.Context, cluster string) error {
	ops, err := l.connect(ctx)
	if err != nil {
		return err
	}
	if l.watch {
		return l.follow(ctx, ops, cluster)
	}
	return l.working("Fetching events", l.output.forMachines(), func(s *status) error {
		events, err := ops.Events(ctx, cluster)
		if err != nil {
			return err
		}
		s.pause()
		if l.output.forMachines() {
			return encode(l.env.Out, l.output.value, eventList{api.APIVersion, "EventList", append([]api.Event{}, events...)})
		}
		_, err = io.WriteString(l.env.Out, eventTable(events, l.env.Now()).String())
		return err
	})
}

// follow prints what happened, then each event when it happens. Ctrl-C is its regular end.
func (l *eventLog) follow(ctx context.Context, ops *operations.Client, cluster string) error {
	known, err := ops.Events(ctx, cluster)
	if err != nil {
		return err
	}
	told, err := ops.WatchEvents(ctx, cluster)
	if err != nil {
		return err
	}
	t := eventTable(known, l.env.Now())
	for i, usual := range []int{0, 0, len(api.EventWarning), 20, 24, 20} {
		t.least = append(t.least, max(usual, len(t.head[i])+2))
	}
	shown := map[api.Event]bool{}
	if !l.output.forMachines() {
		if _, err := io.WriteString(l.env.Out, t.String()); err != nil {
			return err
		}
		for _, e := range known {
			shown[plainTimes(e)] = true
		}
	}
	for e := range told {
		if shown[plainTimes(e)] { // the watch begins with those that are known
			delete(shown, plainTimes(e))
			continue
		}
		if err := l.print(t, e); err != nil {
			return err
		}
	}
	return nil
}

// plainTimes is an event that compares equal to the same one, read at another time.
func plainTimes(e api.Event) api.Event {
	e.First, e.Last = e.First.UTC().Round(0), e.Last.UTC().Round(0)
	return e
}

func (l *eventLog) print(t *table, e api.Event) error {
	if l.output.forMachines() {
		if l.output.value == asYAML {
			fmt.Fprintln(l.env.Out, "---")
		}
		return encode(l.env.Out, l.output.value, e)
	}
	_, err := io.WriteString(l.env.Out, t.next(eventRow(e, l.env.Now())...))
	return err
}

func eventTable(events []api.Event, now time.Time) *table {
	t := &table{head: []string{"LAST SEEN", "COUNT", "TYPE", "CLUSTER", "MACHINE", "REASON", "MESSAGE"}}
	for _, e := range events {
		t.add(eventRow(e, now)...)
	}
	return t
}

func eventRow(e api.Event, now time.Time) []cell {
	return []cell{
		line(ageSince(now, e.Last)), line(fmt.Sprint(e.Count)), line(string(e.Type)), line(orDash(e.Cluster)),
		line(orDash(e.Machine)), line(e.Reason), line(e.Message),
	}
}
