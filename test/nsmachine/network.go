package nsmachine

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sky-shift/skyctl/test/needs"
)

// Network is the network of one computer, apart from all others: it reaches only those that it is connected with.
type Network struct{ pid int }

// NewNetwork creates a network namespace, which ends with the test. It needs root.
func NewNetwork(t *testing.T) Network {
	t.Helper()
	needs.Root(t)
	holder := exec.CommandContext(t.Context(), "unshare", "--net", "sh", "-ec",
		"ip link set lo up; echo up; exec sleep infinity")
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	holder.Stderr = os.Stderr
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = holder.Process.Kill(); _ = holder.Wait() })
	if _, err := out.Read(make([]byte, 3)); err != nil {
		t.Fatalf("this test needs root, for a network namespace: %v", err)
	}
	return Network{holder.Process.Pid}
}

// Enter returns what is put before a command to run it in the network.
func (n Network) Enter() []string { return []string{"nsenter", "--net=" + n.path()} }

func (n Network) path() string { return fmt.Sprintf("/proc/%d/ns/net", n.pid) }

// Connect connects the network with another one. Each side gets an address, such as 10.0.0.1/24, on an interface with
// the name of the other side.
func (n Network) Connect(t *testing.T, name, address string, other Network, otherName, otherAddress string) {
	t.Helper()
	run := func(argv ...string) {
		if out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
		}
	}
	run(append(n.Enter(), "ip", "link", "add", "name", otherName, "type", "veth", "peer", "name", name, "netns",
		fmt.Sprint(other.pid))...)
	for _, side := range []struct {
		n               Network
		device, address string
	}{{n, otherName, address}, {other, name, otherAddress}} {
		run(append(side.n.Enter(), "ip", "address", "add", side.address, "dev", side.device)...)
		run(append(side.n.Enter(), "ip", "link", "set", side.device, "up")...)
	}
}

// Listen listens in the network. The listener belongs to this process, and stops with the test.
func (n Network) Listen(t *testing.T, address string) net.Listener {
	t.Helper()
	var l net.Listener
	listened := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with this goroutine, because nothing else may run in the network
		listened <- func() (err error) {
			namespace, err := os.Open(n.path())
			if err != nil {
				return err
			}
			defer namespace.Close()
			if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			l, err = net.Listen("tcp", address)
			return err
		}()
	}()
	if err := <-listened; err != nil {
		t.Fatalf("listening at %s in a network namespace: %v", address, err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}
