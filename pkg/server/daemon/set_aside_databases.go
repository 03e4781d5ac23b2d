package daemon

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// SetAsideDatabase is a database of Temporal that was put away because another version of Temporal wrote it.
type SetAsideDatabase struct {
	// Dir is the directory that holds it.
	Dir string `json:"dir"`
	// Schema is what it says of its version.
	Schema string    `json:"schema"`
	At     time.Time `json:"at"`
	// Done: a new database stands in its place.
	Done bool `json:"done"`
}

// SetAsideListPath is the file in the servers' data directory that lists the databases that were set aside.
func SetAsideListPath(serverDir string) string { return filepath.Join(serverDir, "set-aside.json") }

// ReadSetAsideDatabases lists the databases that were set aside and are still there. A list that can't be read is
// empty: it is for people.
func ReadSetAsideDatabases(c *config.Config) []SetAsideDatabase {
	data, err := regularfile.Read(SetAsideListPath(c.ServerDir()), regularfile.SmallFile)
	var all, there []SetAsideDatabase
	if err != nil || json.Unmarshal(data, &all) != nil {
		return nil
	}
	for _, a := range all {
		if _, err := os.Stat(a.Dir); err == nil {
			there = append(there, a)
		}
	}
	return there
}
