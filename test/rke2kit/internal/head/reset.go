package head

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/bootstrap"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/etcd"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/logline"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/proc"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/snapshot"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/token"
)

// resetDone is the last line of a reset, after which the process exits with 0.
const resetDone = "Managed etcd cluster membership has been reset, restart without --cluster-reset flag now. " +
	"Backup and delete ${datadir}/server/db on each peer etcd server and rejoin the nodes"

const resetTimeout = 2 * time.Minute

// Reset makes etcd a cluster of this server alone, with the state of the snapshot if restorePath is given, takes over
// the authorities of that state, and ends. It does what RKE2 does, in its order: a snapshot that is found to be damaged
// or to have another token leaves the old database beside the new one.
func Reset(ctx context.Context, opts Options, restorePath string, group *proc.Group) error {
	return newHead(opts, group).reset(ctx, restorePath)
}

func (h *Head) reset(ctx context.Context, restorePath string) error {
	ctx, cancel := context.WithTimeout(ctx, resetTimeout)
	defer cancel()
	if restorePath != "" && h.opts.Token == "" {
		if _, err := os.Stat(h.serverPath("token")); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s does not exist, please pass --token to complete the restoration",
				h.serverPath("token"))
		}
	}
	if err := h.prepareReset(); err != nil {
		return err
	}
	if restorePath == "" {
		if _, err := os.Stat(h.resetFlag()); err == nil {
			return fmt.Errorf("start managed database: Managed etcd cluster membership was previously reset, please "+
				"remove the cluster-reset flag and start rke2 normally. If you need to perform another cluster reset, "+
				"you must first manually delete the file at %s", h.resetFlag())
		}
	} else if err := h.restoreSnapshot(ctx, restorePath); err != nil {
		return fmt.Errorf("start managed database: %w", err)
	}
	if err := h.settleMemberName(true); err != nil {
		return err
	}
	if err := os.WriteFile(h.resetFlag(), nil, 0o600); err != nil {
		return fmt.Errorf("write reset flag: %w", err)
	}
	if err := h.takeOverDatastore(ctx); err != nil {
		return err
	}
	logline.Infof(resetDone)
	return nil
}

// prepareReset makes what is missing of directories, certificates and passwords. A reset gets them from the datastore
// afterwards, so a token that names another authority is no error yet.
func (h *Head) prepareReset() error {
	if err := h.makeDirectories(); err != nil {
		return err
	}
	if err := h.makeCertificates(); err != nil {
		return err
	}
	if h.opts.Token != "" {
		t, err := token.Parse(h.opts.Token)
		if err != nil {
			return fmt.Errorf("token: %w", err)
		}
		h.opts.Token = t.Password
	}
	var err error
	if h.creds, err = h.settleCredentials(); err != nil {
		return err
	}
	return h.settleMemberName(false)
}

func (h *Head) resetFlag() string { return h.serverPath("db", "reset-flag") }

// restoreSnapshot replaces the database by that of a snapshot. The old one is kept beside, also where the restore
// fails.
func (h *Head) restoreSnapshot(ctx context.Context, path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("etcd: snapshot path does not exist: %s", path)
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		return fmt.Errorf("etcd: snapshot path must be a file, not a directory: %s", path)
	}
	if path, err = snapshot.Decompress(path, h.serverPath()); err != nil {
		return err
	}
	old := fmt.Sprintf("%s-old-%d", h.etcdDir(), time.Now().Unix())
	if err := os.Rename(h.etcdDir(), old); err != nil {
		return err
	}
	logline.Infof("Pre-restore etcd database moved to %s", old)
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, h.opts.KubeBinary, etcd.RestoreCommand, "--snapshot="+path,
		"--data-dir="+h.etcdDir(), "--name="+h.member, "--peer-url=https://"+h.etcd.peer)
	cmd.Stdout, cmd.Stderr = os.Stderr, io.MultiWriter(os.Stderr, &output)
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(output.String()), "\n")
		return fmt.Errorf("%w: %s", err, strings.TrimPrefix(lines[len(lines)-1], "Error: "))
	}
	return nil
}

// takeOverDatastore runs etcd as a new cluster of one member and writes the authorities that it contains to the disk.
func (h *Head) takeOverDatastore(ctx context.Context) error {
	h.forceNewCluster = true
	if err := h.startEtcd(ctx); err != nil {
		return err
	}
	defer h.group.Stop(etcdGrace, etcdComponent)
	client, err := h.newEtcdClient()
	if err != nil {
		return err
	}
	var keys []etcd.KeyValue
	if err := h.awaitCondition(ctx, "etcd as the only member", func() error {
		members, err := client.ListMembers(ctx)
		if err != nil {
			return err
		}
		if len(members) != 1 || members[0].Name != h.member {
			return fmt.Errorf("found %v, expect: %s", members, h.member)
		}
		keys, err = client.ListPrefix(ctx, bootstrap.KeyPrefix)
		return err
	}); err != nil {
		return err
	}
	data, err := bootstrap.Find(keys, h.creds.server)
	if err != nil || data == nil {
		return err
	}
	backup := h.serverPath(fmt.Sprintf("tls-%d", time.Now().Unix()))
	logline.Infof("Cluster reset: backing up certificates directory to %s", backup)
	if err := copyDirectory(h.serverPath("tls"), backup); err != nil {
		return fmt.Errorf("cluster reset failed to back up server TLS dir: %w", err)
	}
	logline.Warnf("Updating bootstrap data on disk from datastore")
	if err := h.bootstrapPaths().Write(data); err != nil {
		return err
	}
	return h.makeCertificates()
}

// copyDirectory copies files with their modes.
func copyDirectory(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, data, info.Mode().Perm())
	})
}
