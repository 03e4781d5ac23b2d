package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/sky-shift/skyctl/pkg/config"
)

// stateEntries match what skyctl and skyd create in a state directory. The last ones are files that were being written
// when their program was killed.
var stateEntries = []string{
	"server", "pki", "clusters", "snapshots", "restore", "skypilot", "team", "before-restore-*",
	"server.json", "skyd.pid", "skyd.lock", "start.lock", "skyd.env", "ports.json", "secrets.key", "secrets.key.*",
	"config.yaml", "version-note.json",
	".version-note.json-*", ".server.json-*", ".skyd.pid-*", ".skyd.env-*", ".ports.json-*", ".secrets.key-*",
}

// plainDirs are those of stateEntries whose names other programs use too. skyctl and skyd create them for their user
// only (0700), and skyd enforces that.
var plainDirs = []string{"server", "pki", "clusters", "snapshots", "restore"}

// secretsKeys match the secrets key, and those that --new-secrets-key has set aside.
var secretsKeys = []string{"secrets.key", "secrets.key.*"}

// stateLogs match the logs of skyd in the background.
var stateLogs = []string{"skyd.log", "skyd.log.old"}

// StateDirContent is what a state directory holds, as paths.
type StateDirContent struct {
	// Removed is what RemoveStateDir removes, and Kept what it leaves.
	Removed, Kept []string
}

// SharedDirError says that a state directory is one in which names such as "snapshots" say nothing about their owner.
type SharedDirError struct{ Dir, Home string }

func (e *SharedDirError) Error() string {
	what := "your home directory"
	if e.Dir != e.Home {
		what = "a directory above your home directory"
	}
	return fmt.Sprintf("the state directory %s is %s, where skyctl cannot tell its files from yours: stop the server "+
		"and remove its files by hand", e.Dir, what)
}

// Reason is a word for programs.
func (e *SharedDirError) Reason() string { return "SharedStateDirectory" }

// RefuseSharedDir fails with a SharedDirError if a state directory is the home directory of its user, or above it.
func RefuseSharedDir(dir, home string) error {
	if home == "" {
		return nil
	}
	realDir, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("finding the state directory: %w", err)
	}
	realHome, err := filepath.EvalSymlinks(home)
	if err != nil {
		realHome = filepath.Clean(home)
	}
	if rel, err := filepath.Rel(realDir, realHome); err != nil || !filepath.IsLocal(rel) {
		return nil
	}
	return &SharedDirError{Dir: realDir, Home: realHome}
}

// ListStateDir tells what belongs to skyctl in a state directory from what does not: $SKYCONF_DIR may be any directory.
// keepLogs leaves the logs, and keepSettings config.yaml. With external servers the secrets key stays: it is the
// team's, and this may be its only copy.
func ListStateDir(c *config.Config, keepLogs, keepSettings bool) (StateDirContent, error) {
	entries, err := os.ReadDir(c.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return StateDirContent{}, nil
	}
	if err != nil {
		return StateDirContent{}, fmt.Errorf("listing the state directory: %w", err)
	}
	var found StateDirContent
	for _, e := range entries {
		path := filepath.Join(c.Dir, e.Name())
		switch {
		case path == c.ConfigFile() && keepSettings, matches(stateLogs, e.Name()) && keepLogs,
			matches(secretsKeys, e.Name()) && c.IsExternal(), isForeign(e):
			found.Kept = append(found.Kept, path)
		default:
			found.Removed = append(found.Removed, path)
		}
	}
	return found, nil
}

// isForeign reports whether an entry of a state directory is not skyctl's.
func isForeign(e fs.DirEntry) bool {
	if slices.Contains(plainDirs, e.Name()) && e.IsDir() {
		info, err := e.Info()
		return err != nil || info.Mode().Perm()&0o077 != 0
	}
	return !matches(stateEntries, e.Name()) && !matches(stateLogs, e.Name())
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		matched, err := filepath.Match(p, name)
		return err == nil && matched
	})
}

// RemoveStateDir removes what ListStateDir lists, and the directory if it is empty then. The caller holds the lock of
// the directory. What finds the installation's other belongings goes last, so that an interrupted call can be repeated.
func RemoveStateDir(c *config.Config, found StateDirContent) error {
	last := []string{c.ServerDir(), c.SecretsKeyFile, c.LockFile()}
	for _, path := range found.Removed {
		if slices.Contains(last, path) {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("removing the state directory: %w", err)
		}
	}
	for _, path := range last {
		if !slices.Contains(found.Removed, path) {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("removing the state directory: %w", err)
		}
	}
	if len(found.Kept) > 0 {
		return nil
	}
	if err := os.Remove(c.Dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the state directory: %w", err)
	}
	return nil
}
