package home

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// RestorationFile is the file of a data directory that was created from a backup.
const RestorationFile = "restored.json"

// Restoration says from which backup a state was restored.
type Restoration struct {
	// ID is different for each restore.
	ID string `json:"id"`
	// TakenAt is when the backup was made, of the state in Dir on Hostname.
	TakenAt  time.Time `json:"taken_at"`
	Hostname string    `json:"hostname"`
	Dir      string    `json:"dir"`
}

// ReadRestoration returns nil if the state was not restored from a backup.
func ReadRestoration(serverDir string) (*Restoration, error) {
	data, err := regularfile.Read(filepath.Join(serverDir, RestorationFile), regularfile.SmallFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	r := new(Restoration)
	if err == nil {
		err = json.Unmarshal(data, r)
	}
	if err == nil && r.ID == "" {
		err = errors.New("it has no id")
	}
	if err != nil {
		return nil, fmt.Errorf("reading from which backup %s was restored: %w", serverDir, err)
	}
	return r, nil
}

// CompareRestoration returns a finding if the state was restored and nobody has been asked about that yet: a backup
// does not know what its original did afterwards, even on the same computer. A nil Restoration has none.
func CompareRestoration(recorded api.Home, r *Restoration) *api.HomeFinding {
	if r == nil || recorded.Restored == r.ID {
		return nil
	}
	return &api.HomeFinding{Kind: api.HomeRestored, Message: fmt.Sprintf("the state was restored from a backup of %s "+
		"on %s, made on %s: what changed there afterwards is unknown here",
		r.Dir, r.Hostname, r.TakenAt.UTC().Format("2006-01-02 15:04:05 UTC"))}
}
