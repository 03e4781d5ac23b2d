// Command rke2 is the kit's stand-in for RKE2's binary of this name: the same
// command line, files, ports and log lines for what a provisioner does with it,
// over unmodified upstream Kubernetes.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/config"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/logline"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/proc"
)

// Set by the build.
var (
	version = "v0.0.0+rke2r0-kit"
	commit  = "0000000000000000000000000000000000000000"
)

const usage = `NAME:
   rke2 - the skyctl project's offline stand-in for Rancher Kubernetes Engine 2

USAGE:
   rke2 [--version] command [arguments]

COMMANDS:
   server           Run management server
   agent            Run node agent
   token            Manage tokens (create)
   etcd-snapshot    Manage etcd snapshots (save, ls, delete, prune)
   certificate      Not implemented by the kit
   secrets-encrypt  Not implemented by the kit
   completion       Not implemented by the kit
`

func main() {
	args := os.Args[1:]
	if len(args) == 0 {
		fmt.Print(usage)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := runCommand(ctx, args[0], args[1:]); err != nil && ctx.Err() == nil {
		logline.Fatalf("Error: %v", err)
		os.Exit(1)
	}
}

func runCommand(ctx context.Context, command string, args []string) error {
	switch command {
	case "--version", "-v":
		fmt.Printf("rke2 version %s (%s)\ngo version %s\n", version, commit, runtime.Version())
		return nil
	case "--help", "-h", "help":
		fmt.Print(usage)
		return nil
	case "server":
		return runNode(ctx, config.Server, args)
	case "agent":
		return runNode(ctx, config.Agent, args)
	case "token":
		return runToken(ctx, args)
	case "etcd-snapshot":
		return runSnapshot(ctx, args)
	case "certificate", "secrets-encrypt", "completion":
		return fmt.Errorf("the kit does not implement `rke2 %s`: use a release of RKE2 itself", command)
	case reapCommand:
		return proc.KillLeftovers(pidDir)
	default:
		return fmt.Errorf("no such command: %s", command)
	}
}
