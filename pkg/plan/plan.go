// Package plan decides what is to be done about a cluster: what etcd says and what was seen go in, drift and an ordered
// list of actions come out. It is pure: it touches nothing, knows no clock but the one it is given, and decides the
// same for the same input.
package plan

import (
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// Policy paces repairs. See DefaultPolicy.
type Policy struct {
	// NotReadyFor is how long a Node may be not Ready before its machine is restarted, and a head be silent and not
	// listed before it counts as lost.
	NotReadyFor time.Duration
	// AfterRestart is how long a restart is given before the worker is replaced.
	AfterRestart time.Duration
	// Window is how far back repairs count.
	Window time.Duration
	// Restarts and Replacements of one place are at most so many in the window; then the cluster goes to ERROR.
	Restarts, Replacements int
	// Backoff before the second repair of a kind on a place; it doubles with each further one.
	Backoff time.Duration
	// ExpiresWithin is how long credentials have to last at least.
	ExpiresWithin time.Duration
}

// DefaultPolicy is patient with what heals itself and quick with what doesn't. Five to ten minutes of NotReady is what
// RKE2 nodes need to come back by themselves after a reboot; its certificates renew at a restart within 120 days of
// their end.
func DefaultPolicy() Policy {
	return Policy{
		NotReadyFor: 5 * time.Minute, AfterRestart: 5 * time.Minute, Window: 6 * time.Hour,
		Restarts: 5, Replacements: 3, Backoff: 5 * time.Minute, ExpiresWithin: 90 * 24 * time.Hour,
	}
}

// Decision is what is to be done about a cluster.
type Decision struct {
	// Drift is all that is not as it should be, with what comes next about it.
	Drift []api.Drift
	// Actions are to be done now, in this order; those on different machines may be done at the same time. Drift
	// without an action waits, is out of reach, or is only reported.
	Actions []api.Action
	// Conditions are what can be said of the cluster now.
	Conditions []api.Condition
	// Fail is why the cluster is to go to ERROR, with what a person can do; nil where it is not. Its machines are kept.
	Fail *api.Failure
}
