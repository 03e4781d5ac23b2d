package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/freeport"
	"github.com/sky-shift/skyctl/test/smalldisk"
)

// onSmallDisk returns settings whose state directory is on its own disk, with room for the servers and a little more.
func onSmallDisk(t *testing.T) (*config.Config, string) {
	t.Helper()
	settings(t)
	disk := smalldisk.Mount(t, 400)
	t.Setenv(config.EnvDir, filepath.Join(disk, "state"))
	c, err := config.Load(nil, func(k string) string {
		return map[string]string{config.EnvDir: filepath.Join(disk, "state")}[k]
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, port := range map[string]*int{"TEMPORAL": &c.Dev.TemporalPort, "UI": &c.Dev.UIPort,
		"ETCD": &c.Dev.EtcdPort} {
		*port = freeport.Get(t, 1)[0]
		t.Setenv("SKYCTL_DEV_"+name+"_PORT", strconv.Itoa(*port))
	}
	return c, disk
}

// TestSkydRecoversFromAFullDisk fills the disk until the servers cannot write; then it only frees space.
func TestSkydRecoversFromAFullDisk(t *testing.T) {
	c, disk := onSmallDisk(t)
	state := start(t, c)
	state.ApplyTo(c)
	etcd := dialEtcd(t, c)
	if _, err := etcd.Put(eventually.Context(t, time.Minute), "/test/key", "before"); err != nil {
		t.Fatal(err)
	}
	filling, err := smalldisk.Fill(disk, 0)
	if err != nil {
		t.Fatal(err)
	}
	writeUntilRefused(t, etcd)
	runUntilRefused(t, c)
	eventually.Holds(t, "the log reports it, or the process restarts", func() bool {
		said := read(t, c.LogFile())
		return strings.Contains(said, "is full") || !answers(c)
	})
	if err := filling.Free(); err != nil {
		t.Fatal(err)
	}
	eventually.Holds(t, "etcd and Temporal work again without a manual start", func() bool {
		soon, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := etcd.Put(soon, "/test/key", "after")
		return err == nil && runs(soon, c) == nil
	})
	// A server that noticed the full disk late may restart the process once more.
	eventually.Holds(t, fmt.Sprintf("the process %d is ready", state.PID), func() bool {
		got, err := daemon.FindRunning(c)
		return err == nil && got.PID == state.PID
	})
}

func answers(c *config.Config) bool {
	conn, err := net.DialTimeout("tcp", config.LoopbackAddress(c.Dev.EtcdPort), time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// writeUntilRefused writes until etcd refuses: its log has preallocated space, and its database grows slowly.
func writeUntilRefused(t *testing.T, etcd *clientv3.Client) {
	t.Helper()
	value := strings.Repeat("x", 1<<20)
	for i := range 500 {
		soon, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		_, err := etcd.Put(soon, "/test/"+strconv.Itoa(i), value)
		cancel()
		if err != nil {
			t.Logf("etcd refuses write %d: %v", i, err)
			return
		}
	}
	t.Fatal("the disk is not full")
}

// runUntilRefused starts workflows until Temporal refuses one.
func runUntilRefused(t *testing.T, c *config.Config) {
	t.Helper()
	for range 500 {
		soon, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		err := runs(soon, c)
		cancel()
		if err != nil {
			t.Logf("Temporal refuses a workflow: %v", err)
			return
		}
	}
	t.Fatal("the disk is not full")
}

// runs starts a workflow that no worker polls.
func runs(ctx context.Context, c *config.Config) error {
	tls, err := c.Temporal.TLS.ClientConfig()
	if err != nil {
		return err
	}
	tc, err := client.DialContext(ctx, client.Options{
		HostPort: c.Temporal.Address, Namespace: c.Temporal.Namespace, Logger: quiet{},
		ConnectionOptions: client.ConnectionOptions{TLS: tls},
	})
	if err != nil {
		return err
	}
	defer tc.Close()
	_, err = tc.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: "nobody"}, "nothing",
		strings.Repeat("x", 1<<16))
	return err
}

func TestSkydWaitsForDiskSpaceAtStart(t *testing.T) {
	c, disk := onSmallDisk(t)
	start(t, c)
	if err := daemon.Stop(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	filling, err := smalldisk.Fill(disk, 0)
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error, 1)
	go func() {
		_, err := daemon.EnsureRunning(t.Context(), c, self(t)) // as who does not look at the disk first
		waiting <- err
	}()
	eventually.Holds(t, "it holds its lock and waits", func() bool {
		_, err := daemon.FindRunning(c)
		return errors.Is(err, daemon.ErrNotReady)
	})
	if err := filling.Free(); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; err != nil {
		t.Errorf("skyd did not start with free space: %v", err)
	}
}
