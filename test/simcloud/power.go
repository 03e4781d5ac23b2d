package simcloud

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

var _ cloud.Starter = (*Cloud)(nil)

// powerOff ends all that runs on the host, and keeps its disks.
func (h *host) powerOff() error {
	h.sshd.stop()
	if h.api != nil {
		h.api.stop()
	}
	// kill ends itself with the rest.
	_ = h.run("kill -9 -1")
	return h.run("rm -f /run/systemd/system/*.ActiveState")
}

// powerOn boots the host again: what is enabled is started, and SSH answers at another port.
func (h *host) powerOn() error {
	if h.api != nil {
		l, err := net.Listen("tcp", net.JoinHostPort(h.address, "6443")) //nolint:noctx // at once
		if err != nil {
			return err
		}
		h.api.serve(tls.NewListener(l, h.tls))
	}
	err := h.run(`cd /run/systemd/system; for f in *.enabled; do [ ! -e "$f" ] || systemctl start "${f%.enabled}"; done`)
	return errors.Join(err, h.openSSH())
}

// StopMachine stops a machine from outside, as its owner may on the cloud's own pages: the cloud goes on listing it.
func (c *Cloud) StopMachine(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.named(name)
	if m == nil || m.host == nil || m.State == cloud.StateStopped {
		return fmt.Errorf("machine %s does not run", name)
	}
	m.State = cloud.StateStopped
	return m.host.powerOff()
}

// Start implements cloud.Starter.
func (c *Cloud) Start(ctx context.Context, target cloud.Target, _ string) (cloud.Machine, error) {
	if err := c.meet(ctx, OpStart, "", target.Name); err != nil {
		return cloud.Machine{}, err
	}
	m, err := c.start(target)
	if err != nil {
		return cloud.Machine{}, err
	}
	return m, c.meet(ctx, OpStarted, "", target.Name)
}

func (c *Cloud) start(target cloud.Target) (cloud.Machine, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, err := c.chosen(target)
	if err != nil {
		return cloud.Machine{}, err
	}
	if m == nil || m.host == nil {
		return cloud.Machine{}, &cloud.Error{Kind: cloud.Conflict, Message: fmt.Sprintf("start machine %s: it is not there", target.Name)}
	}
	if m.State == cloud.StateRunning {
		return m.Machine, nil
	}
	if err := m.host.powerOn(); err != nil {
		return cloud.Machine{}, err
	}
	m.State, m.SSHPort = cloud.StateRunning, m.host.sshd.port()
	return m.Machine, nil
}

// Lose makes a machine vanish as a spot machine does: without anybody having asked.
func (c *Cloud) Lose(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.named(name); m != nil {
		if m.host != nil {
			m.host.stop()
		}
		m.goneAt = time.Now().Add(-time.Hour)
	}
}

// Ghost makes the listing go on showing the machine that bears a name now for some time after it is gone.
func (c *Cloud) Ghost(name string, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.named(name); m != nil {
		m.ghost = d
	}
}
