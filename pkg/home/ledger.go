package home

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/atomicfile"
	"github.com/sky-shift/skyctl/pkg/lazyregexp"
	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// Ledger is the directory in which a computer records the homes of installations, outside any state directory. The zero
// Ledger stores nothing.
type Ledger struct{ Dir string }

// installationIDPattern makes an id safe as a path element in the ledger.
var installationIDPattern = lazyregexp.New(`^[0-9a-zA-Z][0-9a-zA-Z-]{0,63}$`)

func (l Ledger) homeFile(installation string) (string, error) {
	if !installationIDPattern.MatchString(installation) {
		return "", fmt.Errorf("invalid installation id %q", installation)
	}
	return filepath.Join(l.Dir, installation, "home.json"), nil
}

// ReadHome returns the recorded home of an installation, or nil if there is none.
func (l Ledger) ReadHome(installation string) (*api.Home, error) {
	if l.Dir == "" {
		return nil, nil
	}
	name, err := l.homeFile(installation)
	if err != nil {
		return nil, err
	}
	data, err := regularfile.Read(name, regularfile.SmallFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the record of starts: %w", err)
	}
	var h api.Home
	if err := json.Unmarshal(data, &h); err != nil {
		return nil, fmt.Errorf("reading the record of starts %s: %w", name, err)
	}
	return &h, nil
}

// WriteHome records a home in a file that only this user can read.
func (l Ledger) WriteHome(h api.Home) error {
	if l.Dir == "" {
		return nil
	}
	name, err := l.homeFile(h.Installation)
	if err != nil {
		return err
	}
	h.Doubt = nil
	data, err := json.MarshalIndent(h, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(name), 0o700)
	}
	if err == nil {
		err = atomicfile.Write(name, append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("writing the record of starts: %w", err)
	}
	return nil
}

// ListHomes returns the recorded homes of all installations. It leaves out records that cannot be read.
func (l Ledger) ListHomes() ([]api.Home, error) {
	if l.Dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(l.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing the records of starts: %w", err)
	}
	var all []api.Home
	for _, e := range entries {
		if h, err := l.ReadHome(e.Name()); err == nil && h != nil {
			all = append(all, *h)
		}
	}
	return all, nil
}

// RemoveHome removes the record of an installation, and the directory of the ledger if it is empty then.
func (l Ledger) RemoveHome(installation string) error {
	if l.Dir == "" {
		return nil
	}
	name, err := l.homeFile(installation)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Dir(name)); err != nil {
		return fmt.Errorf("removing the record of starts: %w", err)
	}
	_ = os.Remove(l.Dir) // it stays if other installations have a record
	return nil
}
