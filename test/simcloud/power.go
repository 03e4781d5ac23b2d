package simcloud

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/test/freeport"
)

var _ cloud.Starter = (*Cloud)(nil)

// powerOff stops all processes of the host, and keeps its disks.
func (h *host) powerOff() error {
	h.sshd.Stop()
	if h.api != nil {
		h.api.stopServing()
	}
	// kill also kills itself.
	_ = h.runScript("kill -9 -1")
	return h.runScript("rm -f /run/systemd/system/*.ActiveState")
}

// powerOn boots the host again: enabled units start, and SSH answers at another port.
func (h *host) powerOn() error {
	if h.api != nil {
		l, err := freeport.ListenAgain(net.JoinHostPort(h.address, "6443"))
		if err != nil {
			return err
		}
		h.api.serveOn(tls.NewListener(l, h.tls))
	}
	err := h.runScript(`cd /run/systemd/system; for f in *.enabled; do [ ! -e "$f" ] || systemctl start ` +
		`"${f%.enabled}"; done`)
	return errors.Join(err, h.startSSHServer(0))
}

// StopMachine stops a machine as in the cloud's console: the cloud still lists it.
func (c *Cloud) StopMachine(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.findMachine(name)
	if m == nil || m.host == nil || m.State == cloud.StateStopped {
		return fmt.Errorf("machine %s is not running", name)
	}
	m.State = cloud.StateStopped
	return m.host.powerOff()
}

// StartMachine implements cloud.Starter.
func (c *Cloud) StartMachine(ctx context.Context, target cloud.Target, _ string) (cloud.Machine, error) {
	if err := c.meetFault(ctx, OpStart, "", target.Name); err != nil {
		return cloud.Machine{}, err
	}
	m, err := c.powerOnTarget(target)
	if err != nil {
		return cloud.Machine{}, err
	}
	return m, c.meetFault(ctx, OpStarted, "", target.Name)
}

func (c *Cloud) powerOnTarget(target cloud.Target) (cloud.Machine, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, err := c.findTarget(target)
	if err != nil {
		return cloud.Machine{}, err
	}
	if m == nil || m.host == nil {
		return cloud.Machine{}, &cloud.Error{Kind: cloud.Conflict,
			Message: fmt.Sprintf("start machine %s: it is not there", target.Name)}
	}
	if m.State == cloud.StateRunning {
		return m.Machine, nil
	}
	if err := m.host.powerOn(); err != nil {
		return cloud.Machine{}, err
	}
	m.State, m.SSHPort = cloud.StateRunning, m.host.sshd.Target.Port
	return m.Machine, nil
}

// LoseMachine makes a machine vanish, like a reclaimed spot machine.
func (c *Cloud) LoseMachine(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.findMachine(name); m != nil {
		if m.host != nil {
			m.host.tearDown()
		}
		m.goneAt = time.Now().Add(-time.Hour)
	}
}

// HideMachine makes the list lie: it lacks a machine that runs, or has it again. Other machines can get its name.
func (c *Cloud) HideMachine(id string, hidden bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.machines {
		if m.ID == id && !m.isGone() {
			m.hidden = hidden
			return nil
		}
	}
	return fmt.Errorf("no machine %s", id)
}

// SurviveTermination makes the cloud report that a machine is ended, and lack it in the list, while it goes on running.
// HideMachine makes the list have it again.
func (c *Cloud) SurviveTermination(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.findMachine(name); m != nil {
		m.survives = true
	}
}

// KeepListed keeps a machine in the list for some time after it is gone.
func (c *Cloud) KeepListed(name string, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.findMachine(name); m != nil {
		m.ghost = d
	}
}
