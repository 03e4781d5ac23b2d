package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/sky-shift/skyctl/pkg/atomicfile"
	"github.com/sky-shift/skyctl/pkg/home"
	"github.com/sky-shift/skyctl/pkg/regularfile"
	"github.com/sky-shift/skyctl/pkg/server/backup"
)

// hasPendingRestore reports whether the data are to be created from a restored backup. If there are data already, they
// must be those of this backup: skyctl server restore moves others away.
func (d dataDir) hasPendingRestore(hasData bool) (bool, error) {
	interrupted := fmt.Errorf("a restore into %s was interrupted: run skyctl server restore again, with --force",
		filepath.Dir(d.dir))
	want, err := regularfile.Read(filepath.Join(d.restoreDir, home.RestorationFile), regularfile.SmallFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("reading the restored backup: %w", err)
	case !d.isRestorePublished():
		return false, interrupted
	case !hasData:
		return true, nil
	}
	have, err := regularfile.Read(filepath.Join(d.dir, home.RestorationFile), regularfile.SmallFile)
	if err == nil && bytes.Equal(have, want) { // the last start was interrupted when all was in place
		return true, nil
	}
	return false, interrupted
}

// isRestorePublished reports whether the key and the settings have left the directory for their places.
func (d dataDir) isRestorePublished() bool {
	entries, err := os.ReadDir(d.restoreDir)
	return err == nil && !slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		return e.Name() != home.RestorationFile && e.Name() != backup.SnapshotFile
	})
}

// restoreBackup creates etcd's directory from the snapshot of a backup. Temporal's database is not part of a backup:
// sweeps resume from etcd what was under way.
func (d dataDir) restoreBackup() error {
	restoration, err := regularfile.Read(filepath.Join(d.restoreDir, home.RestorationFile), regularfile.SmallFile)
	if err != nil {
		return err
	}
	err = snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{
		SnapshotPath:  filepath.Join(d.restoreDir, backup.SnapshotFile),
		Name:          etcdName,
		OutputDataDir: d.etcdDir(),
		PeerURLs:      []string{etcdPeerURL.String()}, InitialCluster: etcdName + "=" + etcdPeerURL.String(),
		InitialClusterToken: embed.NewConfig().InitialClusterToken,
	})
	if err != nil {
		return err
	}
	if err := os.Chmod(d.etcdDir(), 0o700); err != nil { //nolint:gosec // it is a directory
		return err
	}
	return atomicfile.Write(filepath.Join(d.dir, home.RestorationFile), restoration)
}
