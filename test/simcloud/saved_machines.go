package simcloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/pki"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/test/freeport"
)

// savedMachine is a machine in machines.json. A tar file of its disk is disks/<ID>.tar, beside that file.
type savedMachine struct {
	Machine cloud.Machine
	Region  string
	Request cloud.LaunchRequest
	// Password is the node password, which reserves the name of its Node.
	Password string
}

// RestoreMachines starts the machines that a cloud of an earlier version saved in a directory: with their ids, labels,
// addresses, ports, host keys and disks. Their ports must be free.
func (c *Cloud) RestoreMachines(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "machines.json"))
	if err != nil {
		return err
	}
	var saved []savedMachine
	if err := json.Unmarshal(text, &saved); err != nil {
		return fmt.Errorf("read the saved machines: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range saved {
		disk := filepath.Join(dir, "disks", s.Machine.ID+".tar")
		if err := c.restoreMachine(s, disk); err != nil {
			return fmt.Errorf("restore simulated machine %s: %w", s.Machine.Name, err)
		}
	}
	return nil
}

func (c *Cloud) restoreMachine(s savedMachine, disk string) error {
	number := 0
	if _, err := fmt.Sscanf(s.Machine.ID, idFormat, &number); err != nil {
		return fmt.Errorf("the id %q: %w", s.Machine.ID, err)
	}
	c.next = max(c.next, number)
	h := &host{name: s.Machine.Name, address: s.Machine.PrivateAddress, req: s.Request, password: s.Password,
		lies: c.defectsOf(s.Machine.Name).lies}
	c.machines = append(c.machines, &machine{Machine: s.Machine, region: s.Region, host: h})
	return h.restore(disk, s.Machine.SSHPort, func() []*host { return c.hostsOf(s.Machine.Owner) })
}

// restore starts a host with the disk of a saved one. A head is a host whose disk has the key of an authority.
func (h *host) restore(disk string, sshPort int, peers func() []*host) error {
	if err := h.createNamespaces(); err != nil {
		return err
	}
	if err := h.unpackDisk(disk); err != nil {
		return err
	}
	var err error
	if h.hostKey, err = remote.PublicKeyOf(h.req.HostKey); err != nil {
		return err
	}
	ports := []int{10250}
	pair := pki.Pair{Cert: h.outsidePath("/opt/fake/ca.pem"), Key: h.outsidePath("/opt/fake/ca.key")}
	if _, err := os.Stat(pair.Key); err == nil {
		ports = append(ports, 9345)
		if err := h.restoreAPI(pair, peers); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return errors.Join(h.listenOnPorts(ports...), h.startSSHServer(sshPort))
}

func (h *host) restoreAPI(pair pki.Pair, peers func() []*host) error {
	ca, err := pki.LoadAuthority(pair, time.Now())
	if err != nil {
		return err
	}
	h.setUpAPI(ca, peers)
	l, err := freeport.ListenAgain(net.JoinHostPort(h.address, "6443"))
	if err != nil {
		return err
	}
	return h.serveAPI(l)
}

// unpackDisk fills the host's directories. RKE2's units that ran are running again.
func (h *host) unpackDisk(disk string) error {
	f, err := os.Open(disk)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	argv := slices.Concat(h.nsenterCommand(), []string{"tar", "-C", "/", "-x"})
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:noctx,gosec // our own, and short
	cmd.Stdin = f
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("unpack its disk: %w: %s", err, out)
	}
	return nil
}
