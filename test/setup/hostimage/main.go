// Command hostimage builds the image of the Docker hosts ahead of the first cluster, or removes it.
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
	remove := flag.Bool("remove", false, "remove the image and its file instead")
	name := flag.Bool("name", false, "print the image's name on stdout")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := ensureOrRemoveImage(ctx, *remove, *name); err != nil {
		fmt.Fprintln(os.Stderr, "host image:", err)
		os.Exit(1)
	}
}

func ensureOrRemoveImage(ctx context.Context, remove, printName bool) error {
	c, err := docker.New(docker.Options{Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	defer c.Close()
	if remove {
		return c.RemoveImage(ctx)
	}
	if err := c.EnsureImage(ctx, func(words string) { fmt.Fprintln(os.Stderr, words) }); err != nil {
		return err
	}
	if printName {
		fmt.Println(c.ImageName())
	}
	return nil
}
