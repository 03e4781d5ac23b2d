package bootstrap

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/logline"
)

// clockSkew is how much later than in the datastore a file may be on the disk.
const clockSkew = 3 * time.Second

// Reconcile makes the disk agree with the datastore. Where a file on the disk is another one and newer, it changes
// nothing and returns an error that names all such files.
func (p Paths) Reconcile(data Data) error {
	logline.Infof("Reconciling bootstrap data between datastore and disk")
	if p.hasEmptyDirectory() {
		return p.Write(data)
	}
	changed, newer, err := p.compare(data)
	if err != nil {
		return err
	}
	if len(newer) > 0 {
		return fmt.Errorf("%s newer than datastore and could cause a cluster outage. Remove the file(s) from disk and "+
			"restart to be recreated from datastore", strings.Join(newer, ", "))
	}
	if !changed {
		return nil
	}
	logline.Warnf("Updating bootstrap data on disk from datastore")
	return p.Write(data)
}

// hasEmptyDirectory tells whether a directory of the files is missing or empty: this disk is of no running cluster.
func (p Paths) hasEmptyDirectory() bool {
	for _, path := range p {
		if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) == 0 {
			return true
		}
	}
	return false
}

// compare returns whether a file of the data is another one on the disk, and the paths of those that are newer there.
func (p Paths) compare(data Data) (changed bool, newer []string, err error) {
	for name, file := range data {
		path := p[name]
		if path == "" {
			logline.Warnf("Unable to lookup path to reconcile %s", name)
			continue
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			logline.Warnf("%s doesn't exist. continuing...", path)
			changed = true
			continue
		}
		if err != nil {
			return false, nil, fmt.Errorf("reconcile bootstrap data: %w", err)
		}
		if bytes.Equal(content, file.Content) {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			return false, nil, fmt.Errorf("reconcile bootstrap data: %w", err)
		}
		changed = true
		if info.ModTime().Unix()-file.Timestamp.Unix() >= int64(clockSkew/time.Second) {
			newer = append(newer, path)
		} else {
			logline.Warnf("%s will be updated from the datastore.", path)
		}
	}
	sort.Strings(newer)
	return changed, newer, nil
}
