package api

import "time"

// Event is something that happened to a cluster, with its cause. Equal events are one event with a count.
type Event struct {
	// Cluster and UID name the cluster; both are empty for an event of the whole installation.
	Cluster string    `json:"cluster,omitempty"`
	UID     string    `json:"uid,omitempty"`
	Machine string    `json:"machine,omitempty"`
	Type    EventType `json:"type"`
	// Reason is one word in CamelCase, for programs.
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// First and Last are when it happened first and last; Count is how often.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	Count int       `json:"count"`
}

// EventType says whether a person should look at an event.
type EventType string

// The types of events, named as Kubernetes names its own.
const (
	EventNormal  EventType = "Normal"
	EventWarning EventType = "Warning"
)
