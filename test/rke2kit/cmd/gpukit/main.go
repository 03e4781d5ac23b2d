// Command gpukit is every part of the stand-in for NVIDIA's software, chosen by its first argument.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/gpukit"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	err := gpukit.Run(ctx, os.Args[1:])
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return
	case !gpukit.IsRequestedCrash(err):
		fmt.Fprintln(os.Stderr, "Error:", err)
	}
	os.Exit(1)
}
