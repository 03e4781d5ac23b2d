package localserver

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/client"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/venv"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/freeport"
)

// The stand-in for Python never listens, like a server of SkyPilot whose start failed.
func newServerThatHangs(t *testing.T, port int) *Server {
	t.Helper()
	dir := t.TempDir()
	python := filepath.Join(dir, "python")
	if err := os.WriteFile(python, []byte("#!/bin/sh\nsleep 1000\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := New(venv.Environment{Dir: dir, Python: python, Port: port}, Options{Log: slog.Default()})
	if err := s.spawnProcess(make(chan error, 1)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.killProcessGroup(context.Background()) })
	eventually.Holds(t, "it runs", func() bool { return s.runningPID() != 0 })
	return s
}

func TestServerThatFailedToStartIsStartedAgain(t *testing.T) {
	port := freeport.Get(t, 1)[0]
	listener, err := net.Listen("tcp", config.LoopbackAddress(port))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	s := newServerThatHangs(t, port)
	c := client.New(fmt.Sprintf("http://127.0.0.1:%d", port), "")
	first := s.runningPID()
	tryBriefly := func() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.tryStart(ctx, c); err == nil {
			t.Error("no server answers, and this is no error")
		}
	}
	setAge := func(age time.Duration) {
		if err := os.Chtimes(s.pidFilePath(), time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	setAge(2 * hungStartTimeout)
	if tryBriefly(); s.runningPID() != first {
		t.Error("a server that listens, and is too busy to answer, was ended")
	}
	listener.Close()
	setAge(hungStartTimeout / 2)
	if tryBriefly(); s.runningPID() != first {
		t.Error("a server that may still be starting was ended")
	}
	setAge(2 * hungStartTimeout)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.tryStart(ctx, c) }()
	eventually.Holds(t, "another server runs", func() bool {
		now := s.runningPID()
		return now != first && now != 0
	})
	stop()
	if err := <-ended; err == nil {
		t.Error("the other server does not answer, and this is no error")
	}
}
