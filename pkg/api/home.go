package api

import (
	"strings"
	"time"
)

// Home is where the state of an installation is, and how often it has started. It distinguishes the state directory of
// an installation from copies and from older states.
type Home struct {
	Installation string `json:"installation"`
	// Host identifies the computer without disclosing its machine id; Hostname is its name for people.
	Host     string `json:"host,omitempty"`
	Hostname string `json:"hostname,omitempty"`
	// Dir is the state directory; empty for an installation in a team's etcd.
	Dir string `json:"dir,omitempty"`
	// Starts counts the starts of skyd and the adoptions. Start distinguishes two starts with the same number.
	Starts    int64     `json:"starts"`
	Start     string    `json:"start,omitempty"`
	StartedAt time.Time `json:"started_at,omitzero"`
	// AdoptedAt is when a person last declared this directory the installation's home.
	AdoptedAt time.Time `json:"adopted_at,omitzero"`
	// Restored is the id of the restore from a backup that put this state in doubt last.
	Restored string `json:"restored,omitempty"`
	// Doubt is why this may not be the installation's only or newest state; nil if it is.
	Doubt *HomeDoubt `json:"doubt,omitempty"`
}

// HomeDoubt says why a state may be a copy or an older state. While it is set, skyd changes no machine.
type HomeDoubt struct {
	Since    time.Time     `json:"since"`
	Findings []HomeFinding `json:"findings"`
}

// HomeFinding is one reason for a doubt.
type HomeFinding struct {
	Kind    HomeFindingKind `json:"kind"`
	Message string          `json:"message"`
	// Starts is the number of starts that was found elsewhere; 0 if none was.
	Starts int64 `json:"starts,omitempty"`
}

// HomeFindingKind is the kind of a HomeFinding.
type HomeFindingKind string

// The kinds of findings.
const (
	// HomeOnOtherHost: the state belongs to another computer.
	HomeOnOtherHost HomeFindingKind = "OtherHost"
	// HomeInOtherDirectory: the state belongs to another directory of this computer.
	HomeInOtherDirectory HomeFindingKind = "OtherDirectory"
	// HomeStartedElsewhere: this computer has a record of a newer start of the same installation.
	HomeStartedElsewhere HomeFindingKind = "StartedElsewhere"
	// HomeSeenOnMachine: a machine of a cluster has the mark of a newer start of the same installation.
	HomeSeenOnMachine HomeFindingKind = "SeenOnMachine"
	// HomeRestored: the state was restored from a backup.
	HomeRestored HomeFindingKind = "Restored"
)

// HomeHint says what to do about a doubt.
const HomeHint = "to continue with this state, stop every other copy of it and run skyctl server adopt"

// JoinMessages returns all findings in one line.
func (d *HomeDoubt) JoinMessages() string {
	var all []string
	for _, f := range d.Findings {
		all = append(all, f.Message)
	}
	return strings.Join(all, "; ")
}

// HomeHeld is the Next of drift that a sweep does not repair because of a doubt.
const HomeHeld = "no action: this state directory may not be the installation's home; see skyctl server adopt"
