package api

import "time"

// OrphanUnknown is the state of an orphan whose cloud does not answer now.
const OrphanUnknown = "unknown"

// Orphan is a machine with this installation's id that belongs to no cluster in etcd.
type Orphan struct {
	Cloud      string    `json:"cloud"`
	Name       string    `json:"name"`
	ID         string    `json:"id,omitempty"`
	Cluster    string    `json:"cluster"`
	ClusterUID string    `json:"cluster_uid"`
	State      string    `json:"state,omitempty"`
	CreatedAt  time.Time `json:"created_at,omitzero"`
	// FirstSeen is when a sweep first found the orphan. The grace period starts then.
	FirstSeen time.Time `json:"first_seen"`
	// MissingSince is since when its cloud does not list it. It is then remembered for a while, but not shown.
	MissingSince time.Time `json:"missing_since,omitzero"`
	// TerminateAt is when a sweep terminates it.
	TerminateAt time.Time `json:"terminate_at,omitzero"`
	// Due: TerminateAt had passed in the last sweep, by the clock of the worker that set it.
	Due bool `json:"due,omitempty"`
	// PricePerHour in US dollars; 0 is free or unknown.
	PricePerHour float64 `json:"price_per_hour,omitempty"`
	// Error is why it could not be terminated.
	Error string `json:"error,omitempty"`
	// Conflict is why sweeps do not terminate it: it may be a copy of another machine, or was renamed. A person can
	// delete it by name.
	Conflict string `json:"conflict,omitempty"`
}
