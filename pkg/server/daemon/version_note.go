package daemon

import (
	"encoding/json"
	"path/filepath"

	"github.com/sky-shift/skyctl/pkg/atomicfile"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// VersionNote is a difference of versions that a person was told of.
type VersionNote struct {
	Client string `json:"client"`
	Server string `json:"server"`
	// Start identifies the start of the server: a person is told again after another one.
	Start string `json:"start"`
}

func versionNotePath(c *config.Config) string { return filepath.Join(c.Dir, "version-note.json") }

// IsVersionNoteSaid reports whether a note is the last that was recorded. It is false if that is unknown.
func IsVersionNoteSaid(c *config.Config, n VersionNote) bool {
	var last VersionNote
	data, err := regularfile.Read(versionNotePath(c), regularfile.SmallFile)
	return err == nil && json.Unmarshal(data, &last) == nil && last == n
}

// RecordVersionNote records that a person was told. If that fails, the next command says it again.
func RecordVersionNote(c *config.Config, n VersionNote) {
	if data, err := json.Marshal(n); err == nil {
		_ = atomicfile.Write(versionNotePath(c), append(data, '\n'))
	}
}
