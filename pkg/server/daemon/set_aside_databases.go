package daemon

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// SetAsideDatabase is a Temporal database that was set aside because another version of Temporal wrote it.
type SetAsideDatabase struct {
	// Dir is the directory that holds it.
	Dir string `json:"dir"`
	// Schema is the recorded version of its schema.
	Schema string    `json:"schema"`
	At     time.Time `json:"at"`
	// Done: a new database has replaced it.
	Done bool `json:"done"`
}

// SetAsideListPath is the file in the servers' data directory that lists the databases that were set aside.
func SetAsideListPath(serverDir string) string { return filepath.Join(serverDir, "set-aside.json") }

// ReadSetAsideDatabases lists the databases that were set aside and still exist. If the list cannot be read, it is
// empty, because it is only shown to people.
func ReadSetAsideDatabases(c *config.Config) []SetAsideDatabase {
	data, err := regularfile.Read(SetAsideListPath(c.ServerDir()), regularfile.SmallFile)
	var all, existing []SetAsideDatabase
	if err != nil || json.Unmarshal(data, &all) != nil {
		return nil
	}
	for _, a := range all {
		if _, err := os.Stat(a.Dir); err == nil {
			existing = append(existing, a)
		}
	}
	return existing
}
