// Command checkrelease says what is missing for `make e2e-rke2` on this computer: all of it at once, before a cluster
// is created. It changes nothing.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/rke2"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stderr))
}

// run is the command: it checks what its arguments name, and returns the exit code.
func run(ctx context.Context, args []string, out io.Writer) int {
	var w wanted
	flags := flag.NewFlagSet("checkrelease", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&w.source, "source", rke2.Release, "where RKE2 comes from, as the setting rke2.source")
	flags.StringVar(&w.version, "version", "", "release of RKE2 (default: that of the setting rke2.version)")
	flags.StringVar(&w.image, "image", "", "image of the tests' pods")
	flags.StringVar(&w.mirror, "mirror", "", "address of a pull-through mirror of Docker Hub (default: none)")
	if flags.Parse(args) != nil {
		return 2
	}
	w.version = cmp.Or(w.version, config.DefaultRKE2Version)
	return reportMissing(out, findMissing(ctx, w.requirements()))
}

// reportMissing says what is missing, and returns the exit code.
func reportMissing(out io.Writer, missing []missingThing) int {
	if len(missing) == 0 {
		return 0
	}
	fmt.Fprintln(out, "The tests on the official RKE2 release cannot run here:")
	for _, m := range missing {
		fmt.Fprintf(out, "  - %s: %v.\n    To fix it: %s.\n", m.what, m.why, m.fix)
	}
	return 1
}
