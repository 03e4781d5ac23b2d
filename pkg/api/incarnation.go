package api

import (
	"fmt"
	"io"
	"time"
)

// IncarnationLength is the number of characters of an incarnation's id.
const IncarnationLength = 5

// incarnationAlphabet has no vowels, so that ids spell no words, and no characters that look alike (0, 1, 3, l).
const incarnationAlphabet = "bcdfghjkmnpqrstvwxz2456789"

// NewIncarnation creates the id of an incarnation from random bytes. r is crypto/rand.Reader except in tests.
func NewIncarnation(r io.Reader) (string, error) {
	id := make([]byte, 0, IncarnationLength)
	// higher values would make some characters more frequent
	fair := byte(256 / len(incarnationAlphabet) * len(incarnationAlphabet))
	for b := make([]byte, 1); len(id) < IncarnationLength; {
		if _, err := io.ReadFull(r, b); err != nil {
			return "", fmt.Errorf("create the id of an incarnation: %w", err)
		}
		if b[0] < fair {
			id = append(id, incarnationAlphabet[int(b[0])%len(incarnationAlphabet)])
		}
	}
	return string(id), nil
}

// NewIncarnations returns a function that creates ids as NewIncarnation does, but none that a machine has, and
// none twice. Two of 1,000 random ids are the same once in 24 times, and a machine's host key is kept under its id.
func NewIncarnations(r io.Reader, machines []Machine) func() (string, error) {
	used := map[string]bool{}
	for _, m := range machines {
		used[m.Incarnation] = true
	}
	return func() (string, error) {
		for {
			id, err := NewIncarnation(r)
			if err != nil || !used[id] {
				used[id] = true
				return id, err
			}
		}
	}
}

// NodeName is the name of a machine's Node, which differs from that of its predecessor.
func NodeName(cluster string, index int, incarnation string) string {
	return MachineName(cluster, index) + "-" + incarnation
}

// NewMachine returns a machine that is reserved and not launched yet. A pool of "" is the control plane.
func NewMachine(cluster string, index int, pool, incarnation string, placement Placement, now time.Time) Machine {
	role := RoleWorker
	if pool == "" {
		role = RoleHead
	}
	return Machine{
		Index: index, Name: MachineName(cluster, index),
		Incarnation: incarnation, NodeName: NodeName(cluster, index, incarnation), Role: role, Pool: pool,
		State: MachineReserved, Since: now, ReservedAt: now, Placement: placement,
	}
}
