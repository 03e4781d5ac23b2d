// Command hostimage builds the image of the Docker hosts ahead of the first cluster.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"

	"github.com/sky-shift/skyctl/pkg/cloud/docker"
)

func main() {
	name := flag.Bool("name", false, "print the image's name on stdout")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := ensureImage(ctx, *name); err != nil {
		fmt.Fprintln(os.Stderr, "host image:", err)
		os.Exit(1)
	}
}

func ensureImage(ctx context.Context, printName bool) error {
	c, err := docker.New(docker.Options{Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.EnsureImage(ctx, func(words string) { fmt.Fprintln(os.Stderr, words) }); err != nil {
		return err
	}
	if printName {
		fmt.Println(c.ImageName())
	}
	return nil
}
