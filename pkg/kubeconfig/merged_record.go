package kubeconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/sky-shift/skyctl/pkg/atomicfile"
	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// RecordFile is the name of the file in a cluster's directory that lists where its entries are.
const RecordFile = "merged.json"

// record lists the files of a person that have entries of a cluster. skyd changes no others.
type record struct {
	UID string `json:"uid"`
	// Files are kubeconfigs, and SkyPilot is the file with SkyPilot's settings.
	Files    []string `json:"files"`
	SkyPilot string   `json:"skypilot,omitempty"`
	// Wanted: the entries are to be merged once the cluster has a kubeconfig.
	Wanted bool `json:"wanted,omitempty"`
}

// readRecord returns the record in a cluster's directory; nil if there is none. A damaged one counts as none.
func readRecord(dir string) (*record, error) {
	text, err := regularfile.Read(filepath.Join(dir, RecordFile), regularfile.SmallFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading where a cluster is merged: %w", err)
	}
	r := &record{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, nil //nolint:nilerr // files that it listed keep the entries
	}
	return r, nil
}

func (r *record) write(dir string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err == nil {
		err = atomicfile.Write(filepath.Join(dir, RecordFile), append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("recording where a cluster is merged: %w", err)
	}
	return nil
}

func removeRecord(dir string) error {
	if err := os.Remove(filepath.Join(dir, RecordFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the record of where a cluster is merged: %w", err)
	}
	return nil
}

func (r *record) add(path string) {
	if !slices.Contains(r.Files, path) {
		r.Files = append(r.Files, path)
	}
}

func recordPath(dir string) string { return filepath.Join(dir, RecordFile) }

// IsMerged reports whether a cluster is merged into a person's kubeconfig, or is to be.
func IsMerged(dir, uid string) bool {
	r, err := readRecord(dir)
	return err == nil && r != nil && r.UID == uid
}
