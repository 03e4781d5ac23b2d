package config

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// MakeDir creates a directory and its parents for this user only (0700). It does not change an existing directory, but
// rejects one that another user (except root) owns or can write.
func MakeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("creating %s: %w", dir, err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("creating %s: %w", dir, err)
	}
	return checkTrusted(dir, info)
}

// checkTrusted rejects a file or directory that another user can write: settings name the servers, keys and releases
// that are trusted.
func checkTrusted(name string, info fs.FileInfo) error {
	owner := os.Geteuid()
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		owner = int(st.Uid)
	}
	return checkOwnerAndMode(name, info.Mode(), owner, os.Geteuid())
}

// checkOwnerAndMode trusts this user and root, who can change everything anyway.
func checkOwnerAndMode(name string, mode fs.FileMode, owner, self int) error {
	if owner != self && owner != 0 {
		return fmt.Errorf("%s belongs to user %d, not to the current user %d, so it is not trusted: remove it, "+
			"change its owner (chown), or set $%s to another directory",
			name, owner, self, EnvDir)
	}
	if mode.Perm()&0o022 != 0 {
		return fmt.Errorf("%s is writable by other users (%v): check its content, then run chmod go-w %s, or set $%s "+
			"to another directory",
			name, mode.Perm(), name, EnvDir)
	}
	return nil
}

// ReadTrustedFile reads a file if no other user can write it or its directory.
func ReadTrustedFile(name string) ([]byte, error) {
	dir, err := os.Stat(filepath.Dir(name))
	if err != nil {
		return nil, err
	}
	if err := checkTrusted(filepath.Dir(name), dir); err != nil {
		return nil, err
	}
	f, err := regularfile.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // opened for reading only
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := checkTrusted(name, info); err != nil {
		return nil, err
	}
	return regularfile.ReadAll(f, regularfile.SmallFile)
}
