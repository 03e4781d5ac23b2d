// Command notices writes the licenses of the software that programs contain, as Markdown: what they link from Go
// modules, and Go's own library. Their licenses ask that copies carry these texts. Usage:
//
//	notices -out FILE [-dir MODULE] [-platforms linux/amd64,…] PACKAGE...
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "notices:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("notices", flag.ContinueOnError)
	flags.SetOutput(stderr)
	out := flags.String("out", "", "file to write")
	dir := flags.String("dir", ".", "directory of the module of the packages")
	platforms := flags.String("platforms", "linux/amd64,linux/arm64,darwin/arm64",
		"platforms that the programs are built for, as GOOS/GOARCH")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *out == "" || flags.NArg() == 0 {
		return errors.New("no -out or no packages: notices -out FILE [-dir MODULE] [-platforms LIST] PACKAGE")
	}
	modules, err := listModules(ctx, *dir, strings.Split(*platforms, ","), flags.Args())
	if err != nil {
		return err
	}
	for i := range modules {
		if err := modules[i].readLicenses(); err != nil {
			return err
		}
	}
	return os.WriteFile(*out, []byte(renderNotices(modules)), 0o644) //nolint:gosec // for everybody
}
