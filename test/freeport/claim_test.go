package freeport

import (
	"math/rand/v2"
	"net"
	"testing"
)

func TestPortOfAnotherProcessIsNotReturned(t *testing.T) {
	port := Get(t, 1)[0]
	if claimPort(port) {
		t.Error("a port that is in use was claimed again")
	}
	other := high + 1 + rand.IntN(1_000_000)          // no port that is returned, and each time another one
	held, err := net.Listen("unix", claimName(other)) //nolint:noctx // at once
	if err != nil {
		t.Fatal(err)
	}
	if claimPort(other) {
		t.Error("a port of another process was claimed")
	}
	if held.Close(); !claimPort(other) {
		t.Error("a port that its process has given up cannot be claimed")
	}
}
