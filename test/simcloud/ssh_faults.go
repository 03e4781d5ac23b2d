package simcloud

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// sshFaults are the faults of connections to machines of a name.
type sshFaults struct {
	mu       sync.Mutex
	silent   bool
	startup  string
	impostor ssh.Signer
	cuts     []*Cut
	environ  []string
}

// Cut is a connection that breaks in the middle of a command. The command's script arrives on its standard input.
type Cut struct {
	// Seen must appear on the standard input first.
	Seen string
	// After is how many more bytes still arrive.
	After int64
	// Late, if set, lets the whole input arrive; the connection breaks that much later.
	Late time.Duration
	// Times is how often it breaks; 0 is always.
	Times int
	// Then, if set, is called each time it is broken.
	Then func()

	hits int
}

// SilenceSSH makes machines of that name accept connections and never answer; it cuts existing connections.
func (c *Cloud) SilenceSSH(machine string, silent bool) {
	c.changeSSHFaults(machine, func(l *sshFaults) { l.silent = silent })
}

// SetImpostor makes machines of that name show a wrong host key; it cuts existing connections.
func (c *Cloud) SetImpostor(machine string, impostor bool) error {
	var signer ssh.Signer
	if impostor {
		key, err := newSigner()
		if err != nil {
			return err
		}
		signer = key
	}
	c.changeSSHFaults(machine, func(l *sshFaults) { l.impostor = signer })
	return nil
}

// SetNoisyShell makes the login shell of machines of that name run a script before every command, like .bashrc; ""
// removes it.
func (c *Cloud) SetNoisyShell(machine, startup string) {
	c.changeSSHFaults(machine, func(l *sshFaults) { l.startup = startup })
}

// shellCommand returns the command line of the login shell for a command.
func (l *sshFaults) shellCommand(command string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.startup == "" {
		return command
	}
	return l.startup + "\n" + command
}

// CutSSH breaks connections to machines of that name in the middle of a command, also those that exist.
func (c *Cloud) CutSSH(machine string, cut Cut) *Cut {
	l := c.sshFaultsOf(machine)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cuts = append(l.cuts, &cut)
	return &cut
}

func (c *Cloud) sshFaultsOf(machine string) *sshFaults {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.defectsOf(machine).lies
}

// CountCuts returns how often a cut occurred.
func (c *Cloud) CountCuts(machine string, cut *Cut) int {
	l := c.sshFaultsOf(machine)
	l.mu.Lock()
	defer l.mu.Unlock()
	return cut.hits
}

// changeSSHFaults cuts existing connections, so that the change counts for all that follows.
func (c *Cloud) changeSSHFaults(machine string, change func(*sshFaults)) {
	l := c.sshFaultsOf(machine)
	c.mu.Lock()
	m := c.findMachine(machine)
	c.mu.Unlock()
	l.mu.Lock()
	change(l)
	l.mu.Unlock()
	if m != nil && m.host != nil {
		m.host.sshd.HangUp()
	}
}

func (l *sshFaults) isSilent() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.silent
}

// shownHostKey returns the host key to show.
func (l *sshFaults) shownHostKey(own ssh.Signer) ssh.Signer {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.impostor != nil {
		return l.impostor
	}
	return own
}

// nextCut returns the cut that is due after this input, and counts it.
func (l *sshFaults) nextCut(seen []byte) (cut *Cut, at int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.cuts {
		if i := bytes.Index(seen, []byte(c.Seen)); i >= 0 && (c.Times == 0 || c.hits < c.Times) {
			c.hits++
			return c, i + len(c.Seen)
		}
	}
	return nil, 0
}

// cuttingReader passes on a command's standard input until the connection breaks.
type cuttingReader struct {
	from io.Reader
	lies *sshFaults
	conn net.Conn

	seen []byte
	cut  *Cut
	left int64
}

// maxSeenBytes limits the stored part of a command's standard input: scripts are shorter.
const maxSeenBytes = 64 << 10

func (c *cuttingReader) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	if c.cut == nil && len(c.seen) < maxSeenBytes {
		before := len(c.seen)
		c.seen = append(c.seen, p[:n]...)
		var at int
		if c.cut, at = c.lies.nextCut(c.seen); c.cut != nil {
			c.left = c.cut.After + int64(at-before)
			if c.cut.Late > 0 {
				time.AfterFunc(c.cut.Late, c.breakConnection)
			}
		}
	}
	if c.cut == nil || c.cut.Late > 0 || int64(n) < c.left {
		c.left -= int64(n)
		return n, err
	}
	n = int(max(c.left, 0))
	c.breakConnection()
	return n, io.ErrUnexpectedEOF
}

func (c *cuttingReader) breakConnection() {
	_ = c.conn.Close()
	if c.cut.Then != nil {
		c.cut.Then()
	}
}

func newSigner() (ssh.Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return ssh.NewSignerFromKey(key)
}
