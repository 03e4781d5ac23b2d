// Command skyctl is the command line of the project; everything it does is in pkg/cli.
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
	debug.SetGCPercent(400) // most runs end before a second collection would pay
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	os.Exit(cli.Run(ctx, cli.SystemEnvironment(), os.Args[1:]))
}
