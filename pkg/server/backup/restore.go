package backup

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sky-shift/skyctl/pkg/atomicfile"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/etcdsnapshot"
	"github.com/sky-shift/skyctl/pkg/home"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
)

// RestoreOptions say what to restore, and where to.
type RestoreOptions struct {
	// Config needs only its paths. Its directory does not have to exist.
	Config *config.Config
	File   string
	Key    RecoveryKey
	Force  bool // move the state that is there aside
	Build  Build
	Now    func() time.Time
}

// Restored is the result of Restore.
type Restored struct {
	Manifest
	// KeptIn is the directory with the former state; empty if there was none.
	KeptIn string
}

// stateParts returns the paths below a state directory that make it the state of an installation. Logs, certificates
// and SkyPilot's files do not.
func stateParts(c *config.Config) []string {
	return []string{c.RestoreDir(), c.ServerDir(), filepath.Join(c.Dir, secretsKeyFile), c.ConfigFile(),
		c.ClustersDir(), clusterSnapshotsOf(c)}
}

// CheckRestoreDir finds why a state directory cannot be restored into. It changes nothing.
func CheckRestoreDir(c *config.Config, force bool) error {
	pid, err := daemon.FindLockHolder(c.LockFile())
	if err != nil {
		return err
	}
	if pid != 0 {
		return &InUseError{Dir: c.Dir, Cause: fmt.Errorf("skyd runs there as process %d", pid)}
	}
	return requireEmpty(c, force)
}

func requireEmpty(c *config.Config, force bool) error {
	parts, err := findState(c)
	if err != nil {
		return err
	}
	if len(parts) > 0 && !force {
		names := make([]string, len(parts))
		for i, p := range parts {
			names[i] = filepath.Base(p)
		}
		return &OccupiedError{Dir: c.Dir, Parts: names}
	}
	return nil
}

func findState(c *config.Config) ([]string, error) {
	var found []string
	for _, p := range stateParts(c) {
		_, err := os.Lstat(p)
		switch {
		case err == nil:
			found = append(found, p)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("checking whether %s is empty: %w", c.Dir, err)
		}
	}
	return found, nil
}

// Restore checks a backup from its start to its end, and only then lays it down in the state directory. The next start
// of skyd dev creates its data from it. An interrupted Restore can be repeated with Force.
func Restore(o RestoreOptions) (Restored, error) {
	if err := CheckRestoreDir(o.Config, o.Force); err != nil {
		return Restored{}, err
	}
	m, err := o.verify()
	if err != nil {
		return Restored{}, err
	}
	if err := config.MakeDir(o.Config.Dir); err != nil {
		return Restored{}, err
	}
	if err := requireRoom(o.Config.Dir, 2*m.totalBytes()); err != nil { // etcd copies the snapshot
		return Restored{}, err
	}
	lock, err := daemon.AcquireLock(o.Config.LockFile()) // no skyd starts meanwhile
	if errors.Is(err, daemon.ErrHeld) {
		return Restored{}, &InUseError{Dir: o.Config.Dir, Cause: err}
	} else if err != nil {
		return Restored{}, err
	}
	defer func() { _ = lock.Release() }()
	if err := requireEmpty(o.Config, o.Force); err != nil { // a skyd may have started and ended

		return Restored{}, err
	}
	staged := filepath.Join(o.Config.Dir, ".restore")
	if err := os.RemoveAll(staged); err != nil { // of an interrupted Restore
		return Restored{}, err
	}
	defer func() { _ = os.RemoveAll(staged) }()
	if err := o.stage(staged, m); err != nil {
		return Restored{}, err
	}
	kept, err := o.publish(staged, m)
	return Restored{m, kept}, err
}

// accept rejects a backup that this program is too old for.
func (o RestoreOptions) accept(m Manifest) error {
	if problem := m.describeNewer(o.Build); problem != "" {
		return &FileError{Problem: problem}
	}
	return nil
}

// verify reads the whole backup and writes nothing.
func (o RestoreOptions) verify() (Manifest, error) {
	return readArchive(o.File, o.Key, o.accept, func(f FileEntry, r io.Reader) error {
		if f.Name == SnapshotFile {
			return etcdsnapshot.CheckHash(r, f.Bytes)
		}
		_, err := io.Copy(io.Discard, r)
		return err
	})
}

// stage writes the files of a backup into a directory, and checks that the snapshot has what the manifest says.
func (o RestoreOptions) stage(dir string, m Manifest) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	_, err := readArchive(o.File, o.Key, o.accept, func(f FileEntry, r io.Reader) error {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return localError{err}
		}
		return atomicfile.CreateFrom(path, func(w io.Writer) error {
			return copyFile(w, r)
		})
	})
	if err != nil {
		return err
	}
	found, err := readSnapshot(filepath.Join(dir, SnapshotFile), m.EtcdPrefix)
	if err == nil && found != m.Snapshot {
		err = fmt.Errorf("its snapshot of etcd has %+v, and its manifest %+v", found, m.Snapshot)
	}
	if err != nil {
		return &FileError{File: o.File, Problem: "is damaged", Cause: err}
	}
	text, err := json.MarshalIndent(home.Restoration{ID: rand.Text(), TakenAt: m.TakenAt, Hostname: m.Hostname,
		Dir: m.Dir}, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Create(filepath.Join(dir, home.RestorationFile), append(text, '\n'))
}

// copyFile tells errors of this computer's disk from those of the backup.
func copyFile(w io.Writer, r io.Reader) error {
	_, err := io.Copy(writerOnDisk{w}, r)
	return err
}

type writerOnDisk struct{ io.Writer }

func (w writerOnDisk) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if err != nil {
		err = localError{err}
	}
	return n, err
}

// publish moves the staged files into place. skyd refuses to start between the first step and the last: it finds a
// restored backup beside other data, or no secrets key.
func (o RestoreOptions) publish(staged string, m Manifest) (keptIn string, err error) {
	c := o.Config
	former, err := findState(c)
	if err != nil {
		return "", err
	}
	if len(former) > 0 {
		keptIn = filepath.Join(c.Dir, "before-restore-"+o.Now().UTC().Format("20060102-150405"))
		if err := os.Mkdir(keptIn, 0o700); err != nil {
			return "", fmt.Errorf("keeping the former state: %w", err)
		}
	}
	if i := slices.Index(former, c.RestoreDir()); i >= 0 { // makes room for the new one
		if err := os.Rename(c.RestoreDir(), filepath.Join(keptIn, filepath.Base(c.RestoreDir()))); err != nil {
			return keptIn, fmt.Errorf("keeping the former state: %w", err)
		}
		former = slices.Delete(former, i, i+1)
	}
	if err := os.Rename(staged, c.RestoreDir()); err != nil {
		return keptIn, err
	}
	for _, p := range former {
		if err := os.Rename(p, filepath.Join(keptIn, filepath.Base(p))); err != nil {
			return keptIn, fmt.Errorf("keeping the former state: %w", err)
		}
	}
	for _, f := range m.Files {
		if f.Name == SnapshotFile || isClusterSnapshot(f.Name) {
			continue
		}
		if err := os.Rename(filepath.Join(c.RestoreDir(), f.Name), filepath.Join(c.Dir, f.Name)); err != nil {
			return keptIn, err
		}
	}
	if err := publishClusterSnapshots(c, m); err != nil {
		return keptIn, err
	}
	return keptIn, errors.Join(atomicfile.SyncDir(c.RestoreDir()), atomicfile.SyncDir(c.Dir))
}
