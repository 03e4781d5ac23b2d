package remote

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"
)

// Pool keeps one connection per machine, shared by all callers, and replaces a broken one.
type Pool struct {
	idle   time.Duration
	mu     sync.Mutex
	slots  map[endpoint]*poolSlot
	stop   chan struct{}
	once   sync.Once
	routes Routes
}

// endpoint is the address of a machine. A replacement has the name of the lost machine at another address, and does not
// wait for a caller that still dials the old one.
type endpoint struct {
	name, address string
	port          int
	// bastion is set for a connection to a bastion: two clusters can use the same one with different keys.
	bastion Bastion
}

// poolSlot holds the connection to an endpoint. turn is held while the connection is checked or opened, and guards the
// other fields.
type poolSlot struct {
	turn chan struct{}
	id   connectionIdentity
	host *Host
}

// connectionIdentity is everything that a connection depends on.
type connectionIdentity struct {
	target Target
	key    [sha256.Size]byte
}

// NewPool returns a pool that closes connections that were unused for the given duration; 0 keeps them.
func NewPool(idle time.Duration) *Pool {
	p := &Pool{idle: idle, slots: map[endpoint]*poolSlot{}, stop: make(chan struct{})}
	if idle > 0 {
		go p.closeIdleHosts()
	}
	return p
}

type dialFunc func(context.Context, *dialer) (*Host, error)

// AwaitHost returns the connection to the machine, and opens it like AwaitDial if there is no live one. The connection
// belongs to the pool: do not close it.
func (p *Pool) AwaitHost(ctx context.Context, t Target, privatePEM []byte, progress func(string)) (*Host, error) {
	return p.connectHost(ctx, t, privatePEM, func(ctx context.Context, d *dialer) (*Host, error) {
		return d.awaitDial(ctx, progress)
	})
}

// GetHost is AwaitHost with a single attempt, like Dial.
func (p *Pool) GetHost(ctx context.Context, t Target, privatePEM []byte) (*Host, error) {
	return p.connectHost(ctx, t, privatePEM, func(ctx context.Context, d *dialer) (*Host, error) {
		return d.dial(ctx)
	})
}

func (p *Pool) connectHost(ctx context.Context, t Target, key []byte, dial dialFunc) (*Host, error) {
	p.mu.Lock()
	at := endpoint{t.Name, t.Address, t.Port, t.bastion}
	s := p.slots[at]
	if s == nil {
		s = &poolSlot{turn: make(chan struct{}, 1)}
		p.slots[at] = s
	}
	p.mu.Unlock()
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, &Lost{Machine: t.Name, Doing: "waiting for another caller to connect",
			Cause: context.Cause(ctx)}
	}
	defer func() { <-s.turn }()

	id := connectionIdentity{target: t, key: sha256.Sum256(key)}
	if s.host != nil && s.host.IsAlive() && s.matchesIdentity(id) {
		s.host.uses.markUsed()
		return s.host, nil
	}
	s.closeHost()
	d, err := newDialer(t, key)
	if err != nil {
		return nil, err
	}
	d.connect, d.directAdvice = p.FindRoute(t), p.routes.DirectAdvice
	h, err := dial(ctx, d)
	if err != nil {
		return nil, err
	}
	s.host, s.id = h, id
	return h, nil
}

// matchesIdentity reports whether the connection serves a caller with this identity. A connection that pinned its host
// key on first contact also serves callers that expect that key.
func (s *poolSlot) matchesIdentity(id connectionIdentity) bool {
	if s.id == id {
		return true
	}
	pinned := s.id
	pinned.target.HostKey = s.host.HostKey()
	return pinned == id
}

// ForgetMachine closes the connections to the machine with the given name.
func (p *Pool) ForgetMachine(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for at, s := range p.slots {
		if at.name == name {
			delete(p.slots, at)
			go s.closeInTurn() // a caller that is dialling holds the turn until it is done
		}
	}
}

func (s *poolSlot) closeInTurn() {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.closeHost()
}

func (s *poolSlot) closeHost() {
	if s.host != nil {
		s.host.Close()
		s.host = nil
	}
}

func (p *Pool) closeIdleHosts() {
	tick := time.NewTicker(max(p.idle/4, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-tick.C:
		}
		for _, s := range p.allSlots() {
			select {
			case s.turn <- struct{}{}:
			default:
				continue
			}
			if s.host != nil && (!s.host.IsAlive() || s.host.uses.idleFor() >= p.idle) {
				s.closeHost()
			}
			<-s.turn
		}
	}
}

func (p *Pool) allSlots() []*poolSlot {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]*poolSlot, 0, len(p.slots))
	for _, s := range p.slots {
		out = append(out, s)
	}
	return out
}

// Close closes all connections.
func (p *Pool) Close() {
	p.once.Do(func() { close(p.stop) })
	p.mu.Lock()
	slots := p.slots
	p.slots = map[endpoint]*poolSlot{}
	p.mu.Unlock()
	for _, s := range slots {
		go s.closeInTurn()
	}
}
