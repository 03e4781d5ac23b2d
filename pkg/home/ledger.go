package home

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/atomicfile"
	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// Ledger is the directory in which a computer remembers the homes of installations, outside of any state directory. The
// zero Ledger remembers nothing.
type Ledger struct{ Dir string }

// installationIDPattern keeps an id that came from elsewhere inside of the ledger.
var installationIDPattern = regexp.MustCompile(`^[0-9a-zA-Z][0-9a-zA-Z-]{0,63}$`)

func (l Ledger) homeFile(installation string) (string, error) {
	if !installationIDPattern.MatchString(installation) {
		return "", fmt.Errorf("the installation's id %q is none", installation)
	}
	return filepath.Join(l.Dir, installation, "home.json"), nil
}

// ReadHome is what is remembered of an installation; nil where nothing is.
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

// WriteHome remembers a home, for this person's eyes alone.
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
