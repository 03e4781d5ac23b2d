package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sky-shift/skyctl/pkg/atomicfile"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/diskspace"
	"github.com/sky-shift/skyctl/pkg/regularfile"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/pkg/store/secretbox"
)

const (
	// snapshotTimeout bounds the transfer of a snapshot, which has 1 GiB at most.
	snapshotTimeout = 10 * time.Minute
	// spareBytes is the room that a disk keeps beside what is written to it.
	spareBytes = 32 << 20
)

// CreateOptions say what to back up, and where to.
type CreateOptions struct {
	Config *config.Config
	// Store is connected to the etcd of Config. Its key is not used.
	Store *store.Store
	File  string
	Force bool // replace File
	// WithSnapshots adds the newest usable snapshot of each cluster that skyd keeps on this computer.
	WithSnapshots bool
	// Recipient is the public part of the recovery key.
	Recipient string
	Build     Build
	Now       func() time.Time
}

// CheckCreate finds what is wrong with the file to write, the disks or the key, before anything is made.
func CheckCreate(ctx context.Context, o CreateOptions) error {
	if err := checkOutputFile(o.File, o.Force); err != nil {
		return err
	}
	key, err := secretbox.LoadKey(o.Config.SecretsKeyFile)
	if err != nil {
		return err
	}
	if err := o.Store.CheckKeyInUse(ctx, key); err != nil {
		return err
	}
	size, err := o.Store.DatabaseSize(ctx)
	if err != nil {
		return err
	}
	for _, dir := range []string{o.Config.Dir, filepath.Dir(o.File)} {
		if err := requireRoom(dir, uint64(max(size, 0))); err != nil { //nolint:gosec // not negative
			return err
		}
	}
	return nil
}

func checkOutputFile(file string, force bool) error {
	dir, err := os.Stat(filepath.Dir(file))
	if err == nil && !dir.IsDir() {
		err = errors.New("it is not a directory")
	}
	if err != nil {
		return &FileError{File: file, Problem: "cannot be written: its directory " + filepath.Dir(file),
			Cause: trimPath(err)}
	}
	switch info, err := os.Lstat(file); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return &FileError{File: file, Problem: "cannot be written", Cause: trimPath(err)}
	case !info.Mode().IsRegular():
		return &FileError{File: file, Problem: "is not a regular file: name a file"}
	case !force:
		return &ExistsError{File: file}
	}
	if err := diskspace.CheckWritable(filepath.Dir(file)); err != nil {
		return &FileError{File: file, Problem: "cannot be written", Cause: err}
	}
	return nil
}

func requireRoom(dir string, need uint64) error {
	space, err := diskspace.ReadSpace(dir)
	if err != nil {
		return err
	}
	if need += spareBytes; space.Free < need {
		return &RoomError{Dir: dir, Need: need, Free: space.Free}
	}
	return nil
}

// Create writes a backup, whole or not at all. skyd can work meanwhile: the snapshot is of one revision.
func Create(ctx context.Context, o CreateOptions) (Manifest, error) {
	lock, err := daemon.AcquireLock(filepath.Join(o.Config.Dir, "backup.lock"))
	if errors.Is(err, daemon.ErrHeld) {
		return Manifest{}, &BusyError{Cause: err}
	} else if err != nil {
		return Manifest{}, err
	}
	defer func() { _ = lock.Release() }()
	// One name, which the lock protects: a killed backup leaves no more than one file behind.
	snapshot := filepath.Join(o.Config.Dir, ".backup-"+SnapshotFile)
	defer func() { _ = os.Remove(snapshot) }()
	// Before etcd's: it has the records and the tokens of snapshots that are there by now, and lacks those of later
	// ones.
	ofClusters, err := openClusterSnapshots(ctx, o)
	if err != nil {
		return Manifest{}, err
	}
	defer closeSources(ofClusters)
	if err := saveSnapshot(ctx, o.Store, snapshot); err != nil {
		return Manifest{}, err
	}
	m, files, err := describeState(ctx, o, snapshot, ofClusters)
	if err != nil {
		return Manifest{}, err
	}
	if err := requireRoom(filepath.Dir(o.File), m.totalBytes()); err != nil {
		return m, err
	}
	write := atomicfile.CreateFrom
	if o.Force {
		write = atomicfile.WriteFrom
	}
	err = write(o.File, func(w io.Writer) error { return writeArchive(w, o.Recipient, m, files) })
	switch {
	case errors.Is(err, fs.ErrExist):
		return m, &ExistsError{File: o.File}
	case err != nil:
		return m, fmt.Errorf("writing %s: %w", o.File, err)
	}
	return m, nil
}

func saveSnapshot(ctx context.Context, st *store.Store, path string) error {
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	return atomicfile.WriteFrom(path, func(w io.Writer) error { return st.StreamSnapshot(ctx, w) })
}

// describeState reads the files of a state, and what the manifest says of them and of the snapshots of clusters.
func describeState(ctx context.Context, o CreateOptions, snapshot string, ofClusters []source) (Manifest, []source,
	error) {
	m := Manifest{Format: plainFormat, Version: o.Build.Version, Level: o.Build.Level,
		TakenAt: o.Now().UTC().Truncate(time.Second), Dir: o.Config.Dir, EtcdPrefix: o.Config.Etcd.Prefix}
	m.Hostname, _ = os.Hostname() // for people only
	var err error
	if m.Installation, err = o.Store.EnsureInstallationID(ctx); err != nil {
		return m, nil, err
	}
	if m.Snapshot, err = readSnapshot(snapshot, m.EtcdPrefix); err != nil {
		return m, nil, err
	}
	if _, err := secretbox.LoadKey(o.Config.SecretsKeyFile); err != nil {
		return m, nil, err
	}
	small := []struct{ name, path string }{
		{secretsKeyFile, o.Config.SecretsKeyFile}, {configFile, o.Config.ConfigFile()},
	}
	var files []source
	for _, s := range small {
		data, err := regularfile.Read(s.path, regularfile.SmallFile)
		if s.name == configFile && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return m, nil, fmt.Errorf("reading %s: %w", s.path, err)
		}
		sum := sha256.Sum256(data)
		files = append(files, source{FileEntry{s.name, int64(len(data)), hex.EncodeToString(sum[:])},
			func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }})
	}
	entry, err := describeFile(ctx, SnapshotFile, snapshot)
	if err != nil {
		return m, nil, err
	}
	files = append(files, source{entry, func() (io.ReadCloser, error) { return os.Open(snapshot) }})
	if len(ofClusters) > 0 {
		m.Format = formatNumber
		files = append(files, ofClusters...)
	}
	for _, f := range files {
		m.Files = append(m.Files, f.entry)
	}
	return m, files, nil
}

func describeFile(ctx context.Context, name, path string) (FileEntry, error) {
	f, err := os.Open(path) //nolint:gosec // this package has written it
	if err != nil {
		return FileEntry{}, err
	}
	defer func() { _ = f.Close() }() // only read from
	return describeOpenFile(ctx, name, f)
}

func describeOpenFile(ctx context.Context, name string, f *os.File) (FileEntry, error) {
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	if err == nil {
		err = ctx.Err()
	}
	return FileEntry{name, n, hex.EncodeToString(sum.Sum(nil))}, err
}
