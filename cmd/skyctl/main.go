// Command skyctl is the command line; pkg/cli holds all its commands.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/sky-shift/skyctl/pkg/cli"
)

func main() {
	debug.SetGCPercent(400) // most runs end before a second collection pays off
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C kills the process
	os.Exit(cli.Run(ctx, cli.SystemEnvironment(), os.Args[1:]))
}
