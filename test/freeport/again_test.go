package freeport

import (
	"net"
	"testing"
	"time"
)

func TestListenAgainWaitsForTheAddress(t *testing.T) {
	before, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { _ = before.Close() })
	l, err := ListenAgain(before.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}
