// Package home distinguishes the one state directory of an installation from copies and older states of it: by its
// computer and path, and by a count of starts that is also kept outside of it (Ledger) and on machines (Mark).
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

// machineIDFile identifies a computer; its manual (machine-id(5)) asks to hand out no more than a hash of it.
const machineIDFile = "/etc/machine-id"

// FindLocation returns the location of a state directory on this computer.
func FindLocation(dir string) Location {
	p := Location{Dir: dir}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		p.Dir = real
	}
	p.Hostname, _ = os.Hostname() // a computer without a name has an id
	if id, err := os.ReadFile(machineIDFile); err == nil && strings.TrimSpace(string(id)) != "" {
		sum := sha256.Sum256([]byte("skyctl home\n" + strings.TrimSpace(string(id))))
		p.Host = hex.EncodeToString(sum[:8])
	}
	return p
}

// isSameHost says whether two records are of one computer. Names can change, so they are compared only if an id is
// missing.
func isSameHost(id, name, otherID, otherName string) bool {
	if id != "" && otherID != "" {
		return id == otherID
	}
	return name == otherName
}

// describeHome says where a home is.
func describeHome(h api.Home) string {
	if h.Dir == "" {
		return "a team's etcd"
	}
	return fmt.Sprintf("%s on %s", h.Dir, h.Hostname)
}

// RecordIn writes a location into the record of a home.
func (p Location) RecordIn(h *api.Home) { h.Host, h.Hostname, h.Dir = p.Host, p.Hostname, p.Dir }

// CompareRecords says what speaks against a state being the only and newest one of its installation: recorded is what
// the state itself says, here is where it is now, and ledger is what this computer remembers of the installation; nil
// where it remembers nothing.
func CompareRecords(recorded api.Home, here Location, ledger *api.Home) []api.HomeFinding {
	found := compareLocation(recorded, here)
	if ledger == nil {
		return found
	}
	if recorded.Host == "" && here.Host == "" && ledger.Dir == here.Dir && ledger.Starts == recorded.Starts &&
		ledger.Start == recorded.Start {
		return nil // this computer has no id, and a name that changes; it remembers just this start
	}
	newer := ledger.Starts > recorded.Starts
	twin := ledger.Starts == recorded.Starts && ledger.Start != recorded.Start
	if !newer && !twin {
		return found
	}
	f := api.HomeFinding{Kind: api.HomeStartedElsewhere, Starts: ledger.Starts}
	if ledger.Dir == here.Dir {
		f.Message = fmt.Sprintf("this directory is at start %d of the installation, and start %d was here before: "+
			"it is an older state, as from a backup",
			recorded.Starts, ledger.Starts)
	} else {
		f.Message = fmt.Sprintf("the installation was started from %s (start %d; this directory is at start %d)",
			describeHome(*ledger), ledger.Starts, recorded.Starts)
	}
	return append(found, f)
}

func compareLocation(recorded api.Home, here Location) []api.HomeFinding {
	if recorded.Starts == 0 { // a state of a version that recorded no home, or a fresh one
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
