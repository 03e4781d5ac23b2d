package render

import (
	"fmt"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/printable"
)

// ServerPart is a server, its address, and whether it answers.
type ServerPart struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	State   string `json:"state"`
}

// ServerPage is the output of server status.
type ServerPage struct {
	Version string
	PID     int
	Started time.Time
	UI      string
	Parts   []ServerPart
	Disk    *DiskLine
	Backup  *BackupLine
	// Service is what starts skyd at boot; empty if nothing does.
	Service string
	// Doubt says why no machine is changed; empty if the home is not in doubt.
	Doubt    string
	SetAside []SetAsideDatabase
}

// DiskLine is the disk of the state directory.
type DiskLine struct {
	Dir, Text  string
	HasProblem bool
}

// BackupLine is the last backup of the state; TakenAt is zero if there is none.
type BackupLine struct {
	TakenAt time.Time
	File    string
}

func (b BackupLine) format(now time.Time) []string {
	if b.TakenAt.IsZero() {
		return []string{"last backup", "none", "skyctl server backup FILE makes one"}
	}
	return []string{"last backup", FormatDuration(now.Sub(b.TakenAt)) + " ago", printable.Line(b.File)}
}

// SetAsideDatabase is a database of Temporal that another version wrote.
type SetAsideDatabase struct {
	Schema, Dir string
	At          time.Time
}

func (s ServerPage) RenderPage(now time.Time) string {
	if len(s.Parts) == 0 {
		text := "The server is not running.\n"
		if s.PID != 0 {
			text = fmt.Sprintf("The server is starting or stopping (process %d).\n", s.PID)
		}
		if s.Service != "" {
			text += "service: " + printable.Line(s.Service) + "\n"
		}
		if s.Disk != nil && s.Disk.HasProblem {
			text += "disk: " + printable.Line(s.Disk.Text) + "\n"
		}
		return text
	}
	rows := [][]string{}
	for _, p := range s.Parts {
		rows = append(rows, []string{p.Name, p.Address, printable.Line(p.State)})
	}
	if s.UI != "" {
		rows = append(rows, []string{"Web UI", s.UI})
	}
	if s.Service != "" {
		rows = append(rows, []string{"service", printable.Line(s.Service), "starts with the computer"})
	}
	if s.Disk != nil {
		rows = append(rows, []string{"disk", printable.Line(s.Disk.Dir), printable.Line(s.Disk.Text)})
	}
	if s.Backup != nil {
		rows = append(rows, s.Backup.format(now))
	}
	text := ""
	if s.PID != 0 {
		text = fmt.Sprintf("skyd %s, process %d, up for %s\n", s.Version, s.PID, FormatDuration(now.Sub(s.Started)))
	}
	return text + strings.Join(AlignColumns(rows), "\n") + "\n" + s.formatNotes(now)
}

// formatNotes are warnings below the table.
func (s ServerPage) formatNotes(now time.Time) string {
	text := ""
	if s.Doubt != "" {
		text += "\n" + printable.Line(s.Doubt) + "\n"
	}
	for _, a := range s.SetAside {
		text += fmt.Sprintf("\nskyd moved the Temporal database of another version (%s) away on %s. It is in %s.\n",
			printable.Line(a.Schema), FormatMoment(now, a.At), printable.Line(a.Dir))
	}
	return text
}
