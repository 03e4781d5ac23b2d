// Package freeport finds ports for the servers that tests start. Only tests import it.
package freeport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/sky-shift/skyctl/pkg/config"
)

// Ports are taken from below those that the kernel gives to outgoing connections (32768 and up): no connection takes
// one before its server listens, or while the server restarts.
const low, high = 12000, 32000

// maxTries is the number of busy ports after which a search gives up.
const maxTries = 1000

var (
	mu    sync.Mutex
	given = map[int]bool{}
)

// Find returns n unused ports of the loopback address. A process gets no port twice.
func Find(n int) ([]int, error) {
	return findPorts(n, func(int) bool { return true })
}

// FindWhere returns one such port for which usable is true.
func FindWhere(usable func(port int) bool) (int, error) {
	ports, err := findPorts(1, usable)
	if err != nil {
		return 0, err
	}
	return ports[0], nil
}

// Get is Find for a test; it fails the test if there are none.
func Get(t testing.TB, n int) []int {
	t.Helper()
	ports, err := Find(n)
	if err != nil {
		t.Fatal(err)
	}
	return ports
}

// GetAddress returns an unused address of the loopback interface.
func GetAddress(t testing.TB) string {
	t.Helper()
	return config.LoopbackAddress(Get(t, 1)[0])
}

// DevEnviron returns the environment of a skyd dev with its state in dir and free ports.
func DevEnviron(dir string) (map[string]string, error) {
	names := []string{"SKYCTL_DEV_TEMPORAL_PORT", "SKYCTL_DEV_UI_PORT", "SKYCTL_DEV_ETCD_PORT"}
	ports, err := Find(len(names))
	if err != nil {
		return nil, err
	}
	env := map[string]string{config.EnvDir: dir}
	for i, name := range names {
		env[name] = strconv.Itoa(ports[i])
	}
	return env, nil
}

// findPorts claims each port for this process, so that another one does not find it before its server listens, or while
// that restarts.
func findPorts(n int, usable func(int) bool) (ports []int, err error) {
	mu.Lock()
	defer mu.Unlock()
	var held []net.Listener
	defer func() {
		for _, l := range held {
			err = errors.Join(err, l.Close())
		}
	}()
	for range maxTries {
		if len(ports) == n {
			return ports, nil
		}
		port := low + rand.IntN(high-low)
		if given[port] {
			continue
		}
		l, err := net.Listen("tcp", config.LoopbackAddress(port))
		if err != nil {
			continue
		}
		held = append(held, l)
		if usable(port) && claimPort(port) {
			given[port] = true
			ports = append(ports, port)
		}
	}
	return nil, fmt.Errorf("found %d of %d free ports between %d and %d", len(ports), n, low, high)
}
