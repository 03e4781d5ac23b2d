package secretbox

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/sky-shift/skyctl/pkg/atomicfile"
	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// LoadOrCreateKey reads the secrets key from a file that contains it in hexadecimal and that only its owner can read.
// It creates the file if it does not exist; concurrent processes get the same key.
func LoadOrCreateKey(path string) ([]byte, error) {
	key, err := LoadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := createKey(path); err != nil {
		return nil, fmt.Errorf("creating secrets key %s: %w", path, err)
	}
	return LoadKey(path)
}

// LoadKey is LoadOrCreateKey without creating a key: if the file does not exist, the error wraps fs.ErrNotExist.
func LoadKey(path string) ([]byte, error) {
	f, err := regularfile.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the secrets key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading the secrets key: %w", err)
	}
	if mode := info.Mode().Perm(); !isPrivate(mode, fileOwner(info), os.Geteuid()) {
		return nil, fmt.Errorf("secrets key %s is accessible to other users (mode %04o): if you are sure that nobody "+
			"has read it, run chmod 600 on it", path, mode)
	}
	text := make([]byte, 2*KeySize+16)
	n, err := f.Read(text)
	if err != nil && n == 0 {
		return nil, fmt.Errorf("secrets key %s is empty; it needs %d hexadecimal digits", path, 2*KeySize)
	}
	key := make([]byte, KeySize)
	text = bytes.TrimSpace(text[:n])
	if len(text) != 2*KeySize {
		return nil, fmt.Errorf("secrets key %s has %d characters; it needs %d hexadecimal digits", path, len(text),
			2*KeySize)
	}
	if _, err := hex.Decode(key, text); err != nil {
		return nil, fmt.Errorf("secrets key %s is not in hexadecimal", path) // the cause would quote the key
	}
	return key, nil
}

// isPrivate reports whether only this user can read a key. A key of root may be readable by its group, which this
// process is in if it can open the file: Kubernetes hands a Secret to a process without root's rights in this way
// (fsGroup).
func isPrivate(mode fs.FileMode, owner, self int) bool {
	allowed := fs.FileMode(0o700)
	if owner == 0 && self != 0 {
		allowed |= 0o040
	}
	return mode.Perm()&^allowed == 0
}

// fileOwner returns the id of the user that owns a file, or -1 if it is unknown.
func fileOwner(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}

func createKey(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	key := make([]byte, KeySize)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	err := atomicfile.Create(path, []byte(hex.EncodeToString(key)+"\n"))
	if errors.Is(err, fs.ErrExist) { // another process was faster
		return nil
	}
	return err
}
