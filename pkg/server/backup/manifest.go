// Package backup writes the state of a skyd dev into one file that is sealed to a recovery key, and lays it down in an
// empty state directory. It links no etcd server, so that skyctl can use it.
package backup

import (
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/mod/semver"
)

// The files of a backup.
const (
	manifestFile   = "manifest.json"
	secretsKeyFile = "secrets.key"
	configFile     = "config.yaml"
	// SnapshotFile is the snapshot of etcd.
	SnapshotFile = "etcd.snapshot"
)

// formatNumber increases when an earlier version could not restore the file. A file without snapshots of clusters is in
// plainFormat.
const (
	formatNumber = 2
	plainFormat  = 1
)

// Build is the program that writes or reads a backup.
type Build struct {
	Version string
	// Level is the level of its objects, api.WorkerLevel.
	Level int
}

// Manifest says what a backup contains. It is the first file in it.
type Manifest struct {
	Format       int       `json:"format"`
	Version      string    `json:"version"`
	Level        int       `json:"level"`
	Installation string    `json:"installation"`
	TakenAt      time.Time `json:"taken_at"`
	// Hostname and Dir say where the state was, EtcdPrefix what its keys start with.
	Hostname   string `json:"hostname"`
	Dir        string `json:"dir"`
	EtcdPrefix string `json:"etcd_prefix"`
	Snapshot
	Files []FileEntry `json:"files"`
}

// ClusterSnapshots is how many snapshots of clusters are in the backup.
func (m Manifest) ClusterSnapshots() int {
	n := 0
	for _, f := range m.Files {
		if isClusterSnapshot(f.Name) {
			n++
		}
	}
	return n
}

// FileEntry is a file of a backup, in the order of the backup.
type FileEntry struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // hexadecimal
}

// totalBytes is the size of all files.
func (m Manifest) totalBytes() uint64 {
	var n uint64
	for _, f := range m.Files {
		n += uint64(max(f.Bytes, 0)) //nolint:gosec // not negative
	}
	return n
}

// decodeManifest reads a manifest, whose format may be newer.
func decodeManifest(data []byte) (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("its manifest is invalid: %w", err)
	}
	return m, nil
}

// describeNewer says why this program is too old for a backup; empty if it is not.
func (m Manifest) describeNewer(b Build) string {
	const remedy = "; install that version or a later one"
	switch {
	case m.Format > formatNumber:
		return fmt.Sprintf("was written by a newer version of skyctl, %s, in format %d; %s knows formats up to %d%s",
			m.Version, m.Format, b.Version, formatNumber, remedy)
	case m.Level > b.Level, isNewerRelease(m.Version, b.Version):
		return fmt.Sprintf("was written by a newer version of skyctl, %s, than this one, %s%s", m.Version, b.Version,
			remedy)
	}
	return ""
}

// isNewerRelease compares releases; a development build has no order.
func isNewerRelease(a, b string) bool {
	return semver.IsValid(a) && semver.IsValid(b) && semver.Compare(a, b) > 0
}

// checkFiles rejects a manifest whose files are not those of a backup.
func (m Manifest) checkFiles() error {
	var names []string
	seen := map[string]bool{}
	for _, f := range m.Files {
		if len(names) > 0 && names[len(names)-1] == SnapshotFile && isClusterSnapshot(f.Name) && !seen[f.Name] {
			seen[f.Name] = true
			continue
		}
		names = append(names, f.Name)
	}
	switch fmt.Sprint(names) {
	case fmt.Sprint([]string{secretsKeyFile, SnapshotFile}),
		fmt.Sprint([]string{secretsKeyFile, configFile, SnapshotFile}):
		return nil
	}
	return fmt.Errorf("its manifest names other files than those of a backup: %q", names)
}
