package kube

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// RemainingPod is a pod that has not left a node that is being drained.
type RemainingPod struct {
	Namespace, Name string
	// Budget is the name of the PodDisruptionBudget in its namespace that holds it, or the names of several; empty if
	// none does.
	Budget string
	// Why is why it is still there.
	Why string

	grace time.Duration // how long it may take to stop
}

// String describes the pod and why it is still there.
func (p RemainingPod) String() string {
	name := p.Namespace + "/" + p.Name
	if p.Budget == "" {
		return name + ": " + p.Why
	}
	return fmt.Sprintf("%s is held by PodDisruptionBudget %s: %s", name, p.Budget, p.Why)
}

// DrainBlocked reports that pods were left on a node when its drain had to end.
type DrainBlocked struct {
	Node string
	// After is how long the drain lasted.
	After time.Duration
	Pods  []RemainingPod
}

// podsInError is how many pods the error names. Log names all.
const podsInError = 3

func (e *DrainBlocked) Error() string {
	named := e.Log()
	more := ""
	if n := len(named) - podsInError; n > 0 {
		named, more = named[:podsInError], fmt.Sprintf("; and %d more", n)
	}
	return fmt.Sprintf("node %s is not drained after %s, %s: %s%s. Relax the budgets, add machines for these pods, or "+
		"drain by force", e.Node, e.After, countPods(len(e.Pods)), strings.Join(named, "; "), more)
}

// Reason is DrainBlocked.
func (e *DrainBlocked) Reason() string { return "DrainBlocked" }

// Final is true: the drain waited as long as it may.
func (e *DrainBlocked) Final() bool { return true }

// Log has a line for each pod, first those that a disruption budget holds.
func (e *DrainBlocked) Log() []string {
	var held, others []string
	for _, p := range e.Pods {
		if p.Budget != "" {
			held = append(held, p.String())
		} else {
			others = append(others, p.String())
		}
	}
	return slices.Concat(held, others)
}

// describeDrain says for people how far a drain is.
func describeDrain(left []RemainingPod) string {
	text := "draining: " + countPods(len(left))
	i := slices.IndexFunc(left, func(p RemainingPod) bool { return p.Budget != "" })
	if i < 0 {
		return text
	}
	p := left[i]
	return fmt.Sprintf("%s, %s/%s held by PodDisruptionBudget %s", text, p.Namespace, p.Name, p.Budget)
}

func countPods(n int) string {
	if n == 1 {
		return "1 pod left"
	}
	return fmt.Sprintf("%d pods left", n)
}
