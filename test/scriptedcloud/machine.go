package scriptedcloud

import (
	"sync"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/test/sshserver"
)

// machine is one machine. Its cloud.Machine does not change after up is closed.
type machine struct {
	cloud.Machine
	delays  Delays
	req     cloud.LaunchRequest
	cluster *cluster

	up        chan struct{} // closed when it has booted, or failed to
	bootError error

	mu      sync.Mutex
	sshd    *sshserver.Server
	stopped bool
	// running is closed once RKE2 runs, which takes a delay after its start; nil before the start.
	running chan struct{}
}

// boot takes the boot's delay.
func (m *machine) boot() {
	defer close(m.up)
	booted := time.After(m.delays.Boot)
	m.bootError = m.startServers()
	<-booted
}

// startServers starts the SSH server, and on a head the Kubernetes API.
func (m *machine) startServers() error {
	var err error
	if m.HostKey, err = remote.PublicKeyOf(m.req.HostKey); err != nil {
		return err
	}
	if m.req.Role == api.RoleHead {
		if err := m.cluster.serveAPI(m.Address); err != nil {
			return err
		}
	}
	sshd, err := sshserver.New(sshserver.Options{Address: m.Address, HostKey: m.req.HostKey,
		AuthorizedKey: m.req.AuthorizedKey, Hooks: sshserver.Hooks{RunCommand: m.runCommand}})
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sshd, m.SSHPort = sshd, sshd.Target.Port
	if m.stopped {
		sshd.Stop()
	}
	return nil
}

func (m *machine) isUp() bool {
	select {
	case <-m.up:
		return m.bootError == nil
	default:
		return false
	}
}

// stop ends the machine. Its Node stays.
func (m *machine) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopped = true
	if m.sshd != nil {
		m.sshd.Stop()
	}
	if m.req.Role == api.RoleHead {
		m.cluster.stopAPI()
	}
}

// startRKE2 starts the server or the agent with a configuration, once. When it runs, the Node registers, and it becomes
// Ready later.
func (m *machine) startRKE2(c rke2Config) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running != nil {
		return
	}
	m.running = make(chan struct{})
	delay := m.delays.Join
	if m.req.Role == api.RoleHead {
		delay = m.delays.Server
		m.cluster.setAgentToken(c.AgentToken)
	}
	time.AfterFunc(delay, func() {
		m.cluster.putNode(newNode(c, false))
		close(m.running)
		time.AfterFunc(m.delays.Node, func() { m.cluster.putNode(newNode(c, true)) })
	})
}

// awaitRunning waits until RKE2 runs; false if it was not started.
func (m *machine) awaitRunning() bool {
	m.mu.Lock()
	running := m.running
	m.mu.Unlock()
	if running == nil {
		return false
	}
	<-running
	return true
}
