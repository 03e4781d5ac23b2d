package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/sky-shift/skyctl/pkg/atomicfile"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// Writer is the skyd that last wrote the objects of a state directory.
type Writer struct {
	Version string `json:"version"`
	// Level is the level of its objects, api.WorkerLevel.
	Level int `json:"level"`
}

// NewerStateError says that a newer skyd has written the objects, with fields that this one would lose.
type NewerStateError struct {
	Dir          string
	Writer, Mine Writer
}

func (e *NewerStateError) Error() string {
	return fmt.Sprintf("the state in %s was written by skyd %s, and this is skyd %s, which would lose what it does "+
		"not "+
		"know (level %d of %d): install skyd %s or newer; to go back, restore a backup from before the upgrade", e.Dir,
		e.Writer.Version, e.Mine.Version, e.Mine.Level, e.Writer.Level, e.Writer.Version)
}

// Reason is a word for programs.
func (e *NewerStateError) Reason() string { return "NewerState" }

func writerPath(c *config.Config) string { return filepath.Join(c.ServerDir(), "writer.json") }

// RefuseNewerState fails with a NewerStateError if a skyd of a higher level has written the state.
func RefuseNewerState(c *config.Config, mine Writer) error {
	data, err := regularfile.Read(writerPath(c), regularfile.SmallFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var last Writer
	if err == nil {
		err = json.Unmarshal(data, &last)
	}
	if err != nil {
		return fmt.Errorf("reading which skyd has written the state, in %s: %w", writerPath(c), err)
	}
	if last.Level > mine.Level {
		return &NewerStateError{Dir: c.ServerDir(), Writer: last, Mine: mine}
	}
	return nil
}

// RecordWriter records that a skyd writes the state from now on.
func RecordWriter(c *config.Config, mine Writer) error {
	data, err := json.Marshal(mine)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(writerPath(c), append(data, '\n')); err != nil {
		return fmt.Errorf("recording which skyd writes the state: %w", err)
	}
	return nil
}
