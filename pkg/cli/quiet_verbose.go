package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/printable"
	"github.com/sky-shift/skyctl/pkg/requestlog"
)

// bindLoudnessFlags adds -q and -v, which every command has.
func (a *app) bindLoudnessFlags(flags *pflag.FlagSet) {
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "show no progress and no notes, only results and errors")
	flags.CountVarP(&a.verbose, "verbose", "v", "list the requests to the servers on stderr, with -vv their sizes too")
}

// refuseSeparateLevel refuses -v 6, whose number would be the name of an object.
func refuseSeparateLevel(args []string) error {
	for i, word := range args {
		if word == "--" {
			return nil
		}
		if word != "-v" || i+1 == len(args) {
			continue
		}
		if level := args[i+1]; strings.Trim(level, "0123456789") == "" {
			return usageErrorf("the number of -v is written without a blank: -v=%s", level)
		}
	}
	return nil
}

// notes is where notes and hints go: stderr, or nowhere with -q.
func (a *app) notes() io.Writer {
	if a.quiet {
		return io.Discard
	}
	return a.env.Err
}

// startProgress shows a running operation. With -q, or if a program reads the output, it shows only a failure.
func (a *app) startProgress(title string, c *api.Cluster) *terminal.ProgressDisplay {
	if a.quiet || a.hasStructuredOutput() {
		return terminal.StartQuietProgress(a.env.Err, a.env.Now, title, c)
	}
	return terminal.StartProgress(a.env.Err, a.env.Now, title, c)
}

// withRequestLog returns a context whose requests are listed on stderr with -v.
func (a *app) withRequestLog(ctx context.Context) context.Context {
	if a.verbose == 0 {
		return ctx
	}
	var mu sync.Mutex
	return requestlog.With(ctx, func(r requestlog.Request) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(a.env.Err, printable.Line(formatRequest(r, a.verbose > 1)))
	})
}

func formatRequest(r requestlog.Request, sizes bool) string {
	text := fmt.Sprintf("%s %s: %s in %v", r.Server, r.Method, r.Result, r.Took.Round(100*time.Microsecond))
	switch {
	case r.IsStream:
		text += " (stream opened)"
	case sizes:
		text += fmt.Sprintf(" (sent %d bytes, received %d)", r.Sent, r.Received)
	}
	return text
}
