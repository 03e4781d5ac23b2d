package api

import "time"

// OrphanUnknown is the state of an orphan that was there when its cloud could last be asked, which it can't now.
const OrphanUnknown = "unknown"

// Orphan is a machine that carries this installation's id and belongs to no cluster in etcd.
type Orphan struct {
	Cloud      string    `json:"cloud"`
	Name       string    `json:"name"`
	ID         string    `json:"id,omitempty"`
	Cluster    string    `json:"cluster"`
	ClusterUID string    `json:"cluster_uid"`
	State      string    `json:"state,omitempty"`
	CreatedAt  time.Time `json:"created_at,omitzero"`
	// FirstSeen is when a sweep first found it to be an orphan; the grace period counts from there.
	FirstSeen time.Time `json:"first_seen"`
	// MissingSince is since when its cloud does not list it. It is remembered for a while, and not counted as an
	// orphan.
	MissingSince time.Time `json:"missing_since,omitzero"`
	// TerminateAt is when a sweep ends it.
	TerminateAt time.Time `json:"terminate_at,omitzero"`
	// Due: that time had come when it was looked at, by the clock of the worker that set it.
	Due bool `json:"due,omitempty"`
	// PricePerHour in US dollars; 0 is free, or unknown.
	PricePerHour float64 `json:"price_per_hour,omitempty"`
	// Error is why it could not be terminated.
	Error string `json:"error,omitempty"`
	// Conflict is why nothing ends it by itself: it may be a copy of another machine, or was renamed. Who names it ends
	// it.
	Conflict string `json:"conflict,omitempty"`
}
