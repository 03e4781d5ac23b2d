package daemon

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/regular"
)

// SetAside is a database of Temporal that was put away because another version of Temporal wrote it.
type SetAside struct {
	// Dir is the directory that holds it.
	Dir string `json:"dir"`
	// Schema is what it says of its version.
	Schema string    `json:"schema"`
	At     time.Time `json:"at"`
	// Done: a new database stands in its place.
	Done bool `json:"done"`
}

// SetAsideFile lists the databases that were set aside.
func SetAsideFile(c *config.Config) string { return filepath.Join(c.ServerDir(), "set-aside.json") }

// ReadSetAside lists the databases that were set aside and are still there. A list that can't be read is empty: it is for people.
func ReadSetAside(c *config.Config) []SetAside {
	data, err := regular.Read(SetAsideFile(c), regular.SmallFile)
	var all, there []SetAside
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
