// Package home distinguishes the state directory of an installation from copies and older states of it. It compares
// the computer, the path, and a count of starts that is also stored outside the directory (Ledger) and on machines
// (Mark).
package home

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// Location is a state directory on a computer; the zero Location is a team's etcd, which has no directory.
type Location struct{ Host, Hostname, Dir string }

// machineIDFile identifies a computer. machine-id(5) says to publish only a hash of it.
const machineIDFile = "/etc/machine-id"

// FindLocation returns the location of a state directory on this computer.
func FindLocation(dir string) Location {
	l := Location{Dir: dir}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		l.Dir = real
	}
	l.Hostname, _ = os.Hostname() // a computer without a name still has an id
	if id, err := os.ReadFile(machineIDFile); err == nil && strings.TrimSpace(string(id)) != "" {
		sum := sha256.Sum256([]byte("skyctl home\n" + strings.TrimSpace(string(id))))
		l.Host = hex.EncodeToString(sum[:8])
	}
	return l
}

// isSameHost reports whether two records are of one computer. Names can change, so they are compared only if an id is
// missing.
func isSameHost(id, name, otherID, otherName string) bool {
	if id != "" && otherID != "" {
		return id == otherID
	}
	return name == otherName
}

// describeHome returns the location of a home as text.
func describeHome(h api.Home) string {
	if h.Dir == "" {
		return "a team's etcd"
	}
	return fmt.Sprintf("%s on %s", h.Dir, h.Hostname)
}

// RecordIn writes a location into the record of a home.
func (l Location) RecordIn(h *api.Home) { h.Host, h.Hostname, h.Dir = l.Host, l.Hostname, l.Dir }

// CompareRecords returns evidence that a state is not the only and newest one of its installation. recorded is the
// record in the state, here is the state's current location, and ledger is this computer's record of the installation,
// which can be nil.
func CompareRecords(recorded api.Home, here Location, ledger *api.Home) []api.HomeFinding {
	found := compareLocation(recorded, here)
	if ledger == nil {
		return found
	}
	if recorded.Host == "" && here.Host == "" && ledger.Dir == here.Dir && ledger.Starts == recorded.Starts &&
		ledger.Start == recorded.Start {
		return nil // this computer has no id and its name changed, but its ledger has exactly this start
	}
	newer := ledger.Starts > recorded.Starts
	twin := ledger.Starts == recorded.Starts && ledger.Start != recorded.Start
	if !newer && !twin {
		return found
	}
	f := api.HomeFinding{Kind: api.HomeStartedElsewhere, Starts: ledger.Starts}
	if ledger.Dir == here.Dir {
		f.Message = fmt.Sprintf("this directory is at start %d of the installation, but start %d has already run "+
			"here: "+
			"it is an older state, for example from a backup",
			recorded.Starts, ledger.Starts)
	} else {
		f.Message = fmt.Sprintf("the installation was started from %s (start %d; this directory is at start %d)",
			describeHome(*ledger), ledger.Starts, recorded.Starts)
	}
	return append(found, f)
}

func compareLocation(recorded api.Home, here Location) []api.HomeFinding {
	if recorded.Starts == 0 { // a new state, or a state of a version that recorded no home
		return nil
	}
	if here.Dir != "" && recorded.Dir != "" && !isSameHost(recorded.Host, recorded.Hostname, here.Host, here.Hostname) {
		return []api.HomeFinding{{
			Kind:    api.HomeOnOtherHost,
			Message: fmt.Sprintf("the state belongs to %s, and this is %s", describeHome(recorded), here.Hostname),
		}}
	}
	if here.Dir != recorded.Dir {
		now := here.Dir
		if now == "" {
			now = "a team's etcd"
		}
		return []api.HomeFinding{{
			Kind: api.HomeInOtherDirectory, Message: fmt.Sprintf("the state belongs to %s, and this is %s",
				describeHome(recorded), now),
		}}
	}
	return nil
}
