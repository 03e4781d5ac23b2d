// Package plan decides which actions a cluster needs. It compares the cluster's record in etcd with what was observed,
// and returns drift and an ordered list of actions. It is pure: it has no side effects, reads no clock, and returns the
// same decision for the same input.
package plan

import (
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// Policy sets the pace of repairs. See DefaultPolicy.
type Policy struct {
	// NotReadyFor is how long a Node may be not Ready before RKE2 on its machine is restarted, and how long a head may
	// be silent and unlisted before it counts as lost, and is restored.
	NotReadyFor time.Duration
	// AfterRestart is the time between a restart that does not help and the replacement of the worker.
	AfterRestart time.Duration
	// Window is how far back repairs count.
	Window time.Duration
	// Restarts and Replacements bound the repairs of one machine index in the window; then the cluster goes to ERROR.
	// Replacements bounds the restores of a lost head, too. They do not bound the tries to add a machine, or to get one
	// from the cloud.
	Restarts, Replacements int
	// Backoff is the pause before a repair is repeated; it doubles with each failure in a row.
	Backoff time.Duration
	// ExpiresWithin is the time before the end of credentials at which they are renewed.
	ExpiresWithin time.Duration
}

// DefaultPolicy waits where a machine may recover by itself. RKE2 nodes need five to ten minutes to become Ready after
// a reboot. RKE2 renews certificates at a restart within 120 days of their expiry.
func DefaultPolicy() Policy {
	return Policy{
		NotReadyFor: 5 * time.Minute, AfterRestart: 5 * time.Minute, Window: 6 * time.Hour,
		Restarts: 5, Replacements: 3, Backoff: 5 * time.Minute, ExpiresWithin: 90 * 24 * time.Hour,
	}
}

// Decision is the result of planning one cluster.
type Decision struct {
	// Drift lists all differences, each with the next step.
	Drift []api.Drift
	// Actions are due now, in this order. Actions on different machines can run at the same time. Drift without an
	// action waits, cannot be repaired by skyctl, or is only reported.
	Actions []api.Action
	// Stop are the actions in flight that are to be cancelled, because their machine is to be removed.
	Stop []api.Action
	// Restore is the restore that the cluster needs because its head is lost; nil if it needs none. Its ID is empty.
	// There are no actions beside it: they need the head.
	Restore *api.RestoreRequest
	// Converged: the machines are those that the spec requests and have been brought up, and no action that belongs to
	// a change is under way.
	Converged bool
	// NextAt is the earliest time at which something that waits becomes due; zero if nothing waits.
	NextAt time.Time
	// Doing says, for people, what is under way or due, such as "adding 2, removing 1"; empty if nothing is.
	Doing string
	// Conditions are those of the cluster now.
	Conditions []api.Condition
	// Fail says why the cluster goes to ERROR and what a person can do; nil if it does not. Its machines are kept.
	Fail *api.Failure
}
