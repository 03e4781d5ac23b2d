package api

import (
	"fmt"
	"io"
	"time"
)

// IncarnationLength is the number of characters of an incarnation's id.
const IncarnationLength = 5

// incarnationAlphabet spells no words and has no two characters that look alike: no vowels, no 0, 1, 3, and no l.
const incarnationAlphabet = "bcdfghjkmnpqrstvwxz2456789"

// NewIncarnation makes the id of a new incarnation out of random bytes; r is crypto/rand.Reader outside of tests.
func NewIncarnation(r io.Reader) (string, error) {
	id := make([]byte, 0, IncarnationLength)
	// beyond it some characters would come more often
	fair := byte(256 / len(incarnationAlphabet) * len(incarnationAlphabet))
	for b := make([]byte, 1); len(id) < IncarnationLength; {
		if _, err := io.ReadFull(r, b); err != nil {
			return "", fmt.Errorf("making an incarnation's id: %w", err)
		}
		if b[0] < fair {
			id = append(id, incarnationAlphabet[int(b[0])%len(incarnationAlphabet)])
		}
	}
	return string(id), nil
}

// NodeName is the name of a machine's Node: a replaced machine never meets its predecessor's.
func NodeName(cluster string, index int, incarnation string) string {
	return MachineName(cluster, index) + "-" + incarnation
}

// NewMachine is a machine that is reserved and not yet launched.
func NewMachine(cluster string, index int, incarnation string, placement Placement, now time.Time) Machine {
	return Machine{
		Index: index, Name: MachineName(cluster, index),
		Incarnation: incarnation, NodeName: NodeName(cluster, index, incarnation), Role: RoleOf(index),
		State: MachineReserved, Since: now, ReservedAt: now, Placement: placement,
	}
}
