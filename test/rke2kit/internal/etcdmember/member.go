// Package etcdmember runs one etcd member, and makes the directory of one from a snapshot. The program kube contains
// it.
package etcdmember

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/etcd"
)

// NewServerCommand runs one etcd member from a configuration file of etcd's own form.
func NewServerCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:           "etcd",
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(*cobra.Command, []string) error { return run(file) },
	}
	cmd.Flags().StringVar(&file, "config-file", "", "etcd configuration file")
	return cmd
}

func run(file string) error {
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

// NewRestoreCommand makes the data directory of a new cluster of one member from a snapshot. As RKE2, it neither
// raises revisions nor marks any as compacted.
func NewRestoreCommand() *cobra.Command {
	var config snapshot.RestoreConfig
	var peer string
	cmd := &cobra.Command{
		Use:           etcd.RestoreCommand,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(*cobra.Command, []string) error {
			if config.SnapshotPath == "" || config.OutputDataDir == "" || config.Name == "" || peer == "" {
				return errors.New("--snapshot, --data-dir, --name and --peer-url must be given")
			}
			logger, err := zap.NewProduction()
			if err != nil {
				return err
			}
			config.PeerURLs, config.InitialCluster = []string{peer}, config.Name+"="+peer
			return snapshot.NewV3(logger).Restore(config)
		},
	}
	cmd.Flags().StringVar(&config.SnapshotPath, "snapshot", "", "snapshot to restore")
	cmd.Flags().StringVar(&config.OutputDataDir, "data-dir", "", "directory to make")
	cmd.Flags().StringVar(&config.Name, "name", "", "name of the member")
	cmd.Flags().StringVar(&peer, "peer-url", "", "address of the member for its peers")
	return cmd
}
