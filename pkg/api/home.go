package api

import (
	"strings"
	"time"
)

// Home is where an installation lives and how far it has come. It tells the one state directory of an installation from
// copies of it, and from an older state of itself.
type Home struct {
	Installation string `json:"installation"`
	// Host identifies the computer, without giving its machine id away; Hostname is its name for people.
	Host     string `json:"host,omitempty"`
	Hostname string `json:"hostname,omitempty"`
	// Dir is the state directory; empty where the installation lives in a team's etcd.
	Dir string `json:"dir,omitempty"`
	// Starts counts the starts of skyd, and adoptions; Start tells one from another that came to the same number.
	Starts    int64     `json:"starts"`
	Start     string    `json:"start,omitempty"`
	StartedAt time.Time `json:"started_at,omitzero"`
	// AdoptedAt is when somebody last said that this directory is the installation's home.
	AdoptedAt time.Time `json:"adopted_at,omitzero"`
	// Doubt is why this may be no longer the installation's only or newest state; nil where there is no doubt.
	Doubt *HomeDoubt `json:"doubt,omitempty"`
}

// HomeDoubt says why a state may be a copy, or an old one. While there is doubt, skyd changes no machine.
type HomeDoubt struct {
	Since    time.Time     `json:"since"`
	Findings []HomeFinding `json:"findings"`
}

// HomeFinding is one thing that does not fit.
type HomeFinding struct {
	Kind    HomeFindingKind `json:"kind"`
	Message string          `json:"message"`
	// Starts is the number of starts that was seen elsewhere; 0 where none was.
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
	// HomeStartedElsewhere: this computer keeps a record of a newer start of the same installation.
	HomeStartedElsewhere HomeFindingKind = "StartedElsewhere"
	// HomeSeenOnMachine: a machine of a cluster has the mark of a newer start of the same installation.
	HomeSeenOnMachine HomeFindingKind = "SeenOnMachine"
)

// HomeHint is what to do about a doubt.
const HomeHint = "if this state is the one to go on with, stop every other copy of it and run skyctl server adopt"

// JoinMessages are all findings in one line.
func (d *HomeDoubt) JoinMessages() string {
	var all []string
	for _, f := range d.Findings {
		all = append(all, f.Message)
	}
	return strings.Join(all, "; ")
}

// HomeHeld is what a sweep says of the work that it leaves undone because of a doubt.
const HomeHeld = "nothing: it is in doubt whether this state directory is the installation's home: see skyctl " +
	"server adopt"
