package freeport_test

import (
	"net"
	"testing"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/test/freeport"
)

func TestPortsAreFreeAndNeverReturnedTwice(t *testing.T) {
	seen := map[int]bool{}
	for range 5 {
		for _, port := range freeport.Get(t, 13) {
			if seen[port] {
				t.Errorf("port %d was returned twice", port)
			}
			seen[port] = true
			l, err := net.Listen("tcp", config.LoopbackAddress(port))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
		}
	}
}

func TestUnusablePortIsNotReturned(t *testing.T) {
	port, err := freeport.FindWhere(func(port int) bool { return port%2 == 0 })
	if err != nil || port%2 != 0 {
		t.Errorf("got %d, %v", port, err)
	}
	if port, err := freeport.FindWhere(func(int) bool { return false }); err == nil {
		t.Errorf("got %d, which is not usable", port)
	}
}
