package freeport

import (
	"net"
	"testing"

	"github.com/sky-shift/skyctl/pkg/config"
)

func TestReservedPortIsLeftToServers(t *testing.T) {
	port := Get(t, 1)[0]
	if err := Reserve(port); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", config.LoopbackAddress(port)) //nolint:noctx // it allows the reuse of its address
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := Reserve(port); err == nil {
		t.Error("a port in use was reserved")
	}
}
