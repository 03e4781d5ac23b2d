package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/embed"
)

// newEtcdCommand runs one etcd member from a configuration file of etcd's own form.
func newEtcdCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:           "etcd",
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(*cobra.Command, []string) error { return runEtcd(file) },
	}
	cmd.Flags().StringVar(&file, "config-file", "", "etcd configuration file")
	return cmd
}

func runEtcd(file string) error {
	cfg, err := embed.ConfigFromFile(file)
	if err != nil {
		return fmt.Errorf("read etcd configuration %s: %w", file, err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return fmt.Errorf("start etcd: %w", err)
	}
	defer e.Close()
	select {
	case err := <-e.Err():
		return fmt.Errorf("etcd stopped: %w", err)
	case <-stop:
		return nil
	}
}
