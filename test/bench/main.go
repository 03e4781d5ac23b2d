// Command bench measures what users wait for, together with a baseline in the same run, and prints one table: the
// measurement, its value, the target, the ratio to the baseline and the verdict. `make bench` builds what it needs and
// runs it.
//
// On a shared machine a ratio says more than a time, because both sides have the same load.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// options are the options of a run.
type options struct {
	strict bool
	only   string
	trace  bool
	rounds int // of creates
	// lostFor is how long a server has to be missing before it counts as lost (reconcile.notReadyFor).
	lostFor time.Duration
	spawns  int // of each short command
	starts  int // of skyd dev
	sweeps  int // over many clusters
	// machines are the sizes of large clusters, growTo is that of a cluster that grows, and clusters are how many are
	// created at once.
	machines         string
	growTo, clusters int
	profile          string
	bin              string
	kit              string
}

// parts of a run, in their order.
var parts = []struct {
	name    string
	measure func(context.Context, *bench) ([]resultRow, error)
}{
	{"dev", measureDev},
	{"create", measureCreate},
	{"restore", measureRestore},
	{"snapshots", measureSnapshots},
	{"commands", measureCommands},
	{"sweep", measureSweep},
	{"scale", measureScale},
}

func main() {
	if setup := os.Getenv(envWorker); setup != "" {
		if err := runWorker(setup); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code, err := runBench(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		code = 1
	}
	os.Exit(code)
}

func runBench(ctx context.Context) (code int, err error) {
	var o options
	flag.BoolVar(&o.strict, "strict", false, "exit with 3 where a target is missed")
	flag.StringVar(&o.only, "only", "", "measure only these parts, separated by commas: dev, create, restore, "+
		"snapshots, commands, sweep, scale")
	flag.BoolVar(&o.trace, "trace", false, "show the steps of each create on stderr")
	flag.IntVar(&o.rounds, "rounds", 5, "how many creates of each kind to measure")
	flag.DurationVar(&o.lostFor, "lost_for", time.Second, "how long a server has to be missing before it is "+
		"restored (reconcile.notReadyFor, by default 5m); over 1s, sweeps come as often as by default, and no round "+
		"fills caches")
	flag.IntVar(&o.spawns, "spawns", 60, "how often to run each short command")
	flag.IntVar(&o.starts, "starts", 5, "how often to start skyd dev")
	flag.IntVar(&o.sweeps, "sweeps", 5, "how often to sweep over many clusters")
	flag.StringVar(&o.machines, "machines", "30,250", "sizes of simulated clusters to create, separated by commas")
	flag.IntVar(&o.growTo, "grow", 250, "size to which to scale a simulated cluster of 30 machines; 0 for none")
	flag.IntVar(&o.clusters, "clusters", 100, "how many simulated clusters to create at once; 0 for none")
	flag.StringVar(&o.profile, "profile", "", "directory for CPU profiles of skyd in the part scale")
	flag.StringVar(&o.bin, "bin", "bin", "where skyctl and skyd are, and below it external/")
	flag.StringVar(&o.kit, "kit", os.Getenv("SKYCTL_TEST_RKE2"),
		"directory of the RKE2 release to install ($SKYCTL_TEST_RKE2)")
	flag.Parse()
	if flag.NArg() > 0 || o.rounds < 1 || o.spawns < 1 || o.starts < 1 || o.sweeps < 1 {
		return 2, errors.New("it takes flags alone, and counts from 1: see -help")
	}
	b, err := newBench(o)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	var rows []resultRow
	for _, p := range parts {
		if !o.isPartChosen(p.name) {
			continue
		}
		b.logProgress("measuring: %s", p.name)
		more, err := p.measure(ctx, b)
		if ctx.Err() != nil {
			return 130, errors.New("interrupted; everything it made is removed")
		}
		if err != nil {
			return 1, fmt.Errorf("measure %s: %w", p.name, err)
		}
		rows = append(rows, more...)
	}
	fmt.Print(renderReport(describeMachine(ctx, b), rows))
	if o.strict && anyTargetMissed(rows) {
		return 3, nil
	}
	return 0, nil
}

func (o options) isPartChosen(name string) bool {
	for s := range strings.SplitSeq(o.only, ",") {
		if o.only == "" || strings.TrimSpace(s) == name {
			return true
		}
	}
	return false
}

// bench is one run: its directories and its clean-up.
type bench struct {
	options
	dir  string // temporary
	id   string // of this run, part of the names of all that it creates
	undo []func() error
}

func newBench(o options) (*bench, error) {
	bin, err := filepath.Abs(o.bin)
	if err != nil {
		return nil, err
	}
	o.bin = bin
	for _, name := range []string{"skyctl", "skyd"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			return nil, fmt.Errorf("%w: run `make bench`, or `make build` first", err)
		}
	}
	if _, err := os.Stat(filepath.Join(o.kit, "version")); err != nil &&
		(o.isPartChosen("create") || o.isPartChosen("restore")) {
		return nil, fmt.Errorf("no RKE2 release in %q: %w; run `make bench`, or name one with -kit", o.kit, err)
	}
	dir, err := os.MkdirTemp("", "skyctl-bench-")
	if err != nil {
		return nil, err
	}
	return &bench{options: o, dir: dir, id: strings.ToLower(strings.TrimPrefix(filepath.Base(dir), "skyctl-bench-"))},
		nil
}

// addCleanup adds a function that runs at the end, in reverse order.
func (b *bench) addCleanup(f func() error) { b.undo = append(b.undo, f) }

func (b *bench) close() error {
	var errs []error
	for i := len(b.undo) - 1; i >= 0; i-- {
		errs = append(errs, b.undo[i]())
	}
	return errors.Join(append(errs, os.RemoveAll(b.dir))...)
}

func (b *bench) logProgress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
