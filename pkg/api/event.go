package api

import "time"

// Event is something that happened to a cluster, with its cause. Events that say the same are one, with a count.
type Event struct {
	// Cluster and UID name the cluster; both are empty where the event is about the whole installation.
	Cluster string    `json:"cluster,omitempty"`
	UID     string    `json:"uid,omitempty"`
	Machine string    `json:"machine,omitempty"`
	Type    EventType `json:"type"`
	// Reason is one word in CamelCase, for programs.
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// First and Last are when it happened for the first and for the last time, Count how often.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	Count int       `json:"count"`
}

// EventType says whether somebody should look at an event.
type EventType string

// The types of events, named as Kubernetes names its own.
const (
	EventNormal  EventType = "Normal"
	EventWarning EventType = "Warning"
)
