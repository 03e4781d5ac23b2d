package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/printable"
	"github.com/sky-shift/skyctl/pkg/redact"
)

const (
	defaultPort = 22
	// handshakeTimeout bounds what follows the TCP connection; a machine that boots on a loaded host may be slow in it.
	handshakeTimeout = 15 * time.Second
	// connectTimeout bounds a single connect. It is short in AwaitDial's first tries, because a machine that just got
	// its address drops packets, and the kernel's own retries come seconds apart.
	connectTimeout      = 10 * time.Second
	firstConnectTimeout = 2 * time.Second
)

// Dial connects and logs in, in one try. Its errors are *HostKeyMismatch and *AuthFailed, both final, *Lost for what is
// worth trying again, or plain where the target or key make no sense.
func Dial(ctx context.Context, t Target, privatePEM []byte) (*Host, error) {
	d, err := newDialer(t, privatePEM)
	if err != nil {
		return nil, err
	}
	h, _, err := d.dialOnce(ctx, connectTimeout)
	return h, err
}

// AwaitDial tries until the machine answers, a final error comes, or ctx ends; the last error then says what was wrong.
// progress, which may be nil, hears in words what is being waited for.
func AwaitDial(ctx context.Context, t Target, privatePEM []byte, progress func(string)) (*Host, error) {
	d, err := newDialer(t, privatePEM)
	if err != nil {
		return nil, err
	}
	var said string
	begin, answered := time.Now(), 0
	for {
		h, connected, err := d.dialOnce(ctx, pickIf(time.Since(begin) < time.Minute, firstConnectTimeout,
			connectTimeout))
		if err == nil || !IsLost(err) {
			return h, err
		}
		if connected {
			answered++
		}
		if say := describeWait(d.address, connected); say != said && progress != nil {
			progress(say)
			said = say
		}
		if cause := await.Pause(ctx, pauseBeforeRetry(time.Since(begin), answered)); cause != nil {
			return nil, &Lost{Machine: t.Name,
				Doing: fmt.Sprintf("waiting %s for SSH at %s", time.Since(begin).Round(time.Second), d.address),
				Cause: fmt.Errorf("%w; the last try: %w", cause, lostCauseOf(err))}
		}
	}
}

func describeWait(address string, connected bool) string {
	if connected {
		return "waiting for the machine to finish booting"
	}
	return "waiting for SSH at " + address
}

// pauseBeforeRetry is how long to wait before the next try. A refused connection costs nobody anything, so that is
// asked about often in the first minute; a server that answered and hung up counts the caller's failures, and gets ever
// more time.
func pauseBeforeRetry(waited time.Duration, answered int) time.Duration {
	const first, slow = 200 * time.Millisecond, 5 * time.Second
	if answered > 0 {
		p := first
		for range min(answered-1, 20) {
			p = p * 4 / 3
		}
		return min(p, slow)
	}
	return min(max(first, waited/30), 2*time.Second)
}

func pickIf[T any](cond bool, a, b T) T {
	if cond {
		return a
	}
	return b
}

func lostCauseOf(err error) error {
	var lost *Lost
	if errors.As(err, &lost) {
		return lost.Cause
	}
	return err
}

// dialer is a target with its keys parsed.
type dialer struct {
	target  Target
	address string
	signer  ssh.Signer
	pinned  ssh.PublicKey
}

func newDialer(t Target, privatePEM []byte) (*dialer, error) {
	signer, err := ssh.ParsePrivateKey(privatePEM)
	if err != nil {
		return nil, fmt.Errorf("machine %s: the SSH key to log in with can't be read: %w", t.Name, err)
	}
	d := &dialer{target: t, signer: signer}
	if t.HostKey != "" {
		d.pinned, _, _, _, err = ssh.ParseAuthorizedKey([]byte(t.HostKey))
		if err != nil {
			return nil, fmt.Errorf("machine %s: its pinned host key can't be read: %w", t.Name, err)
		}
	}
	port := t.Port
	if port == 0 {
		port = defaultPort
	}
	d.address = net.JoinHostPort(t.Address, strconv.Itoa(port))
	return d, nil
}

// dialOnce makes one try; connected says that a TCP connection came about.
func (d *dialer) dialOnce(ctx context.Context, timeout time.Duration) (h *Host, connected bool, err error) {
	lost := func(doing string, err error) error { return &Lost{Machine: d.target.Name, Doing: doing, Cause: err} }
	tcp, err := (&net.Dialer{Timeout: timeout}).DialContext(ctx, "tcp", d.address)
	if err != nil {
		return nil, false, lost("connecting to SSH", err)
	}
	line := newMonitoredConn(tcp)
	stop := context.AfterFunc(ctx, func() { line.Close() })
	defer stop()
	_ = line.SetDeadline(time.Now().Add(handshakeTimeout))

	var shown ssh.PublicKey
	var banner string
	conn, chans, reqs, err := ssh.NewClientConn(line, d.address, d.clientConfig(&shown, &banner))
	if err != nil {
		line.Close()
		return nil, true, d.toHandshakeError(ctx, err, banner)
	}
	_ = line.SetDeadline(time.Time{})
	if !stop() { // ctx ended while the handshake did: the line is closed or about to be
		conn.Close()
		return nil, true, lost("logging in over SSH", context.Cause(ctx))
	}
	return newHost(d.target, ssh.NewClient(conn, chans, reqs), line, toAuthorizedKey(shown)), true, nil
}

func (d *dialer) clientConfig(shown *ssh.PublicKey, banner *string) *ssh.ClientConfig {
	c := &ssh.ClientConfig{
		User: d.target.User,
		Auth: []ssh.AuthMethod{ssh.PublicKeys(d.signer)},
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if d.pinned != nil && !bytes.Equal(key.Marshal(), d.pinned.Marshal()) {
				return d.newKeyMismatch(ssh.FingerprintSHA256(key))
			}
			*shown = key
			return nil
		},
		// What the machine says before the login tells why it turns people away, such as that it is still booting.
		BannerCallback: func(message string) error {
			*banner = strings.Join(redact.Lines(message[:min(len(message), tailBytes)]), " ")
			return nil
		},
	}
	if d.pinned != nil {
		c.HostKeyAlgorithms = hostKeyAlgorithms(d.pinned)
	} else {
		c.HostKeyAlgorithms = []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoRSASHA512,
			ssh.KeyAlgoRSASHA256}
	}
	return c
}

// hostKeyAlgorithms asks the server for the pinned key among the several it may have.
func hostKeyAlgorithms(k ssh.PublicKey) []string {
	if k.Type() == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{k.Type()}
}

func (d *dialer) newKeyMismatch(got string) *HostKeyMismatch {
	return &HostKeyMismatch{Machine: d.target.Name, Want: ssh.FingerprintSHA256(d.pinned), Got: got}
}

func (d *dialer) toHandshakeError(ctx context.Context, err error, banner string) error {
	var mismatch *HostKeyMismatch
	if errors.As(err, &mismatch) {
		return mismatch
	}
	var none *ssh.AlgorithmNegotiationError
	if d.pinned != nil && errors.As(err, &none) && none.What == "host key" {
		return d.newKeyMismatch("")
	}
	// The library has no type for it; the test of a refused key holds this string in place. A machine whose PAM turns
	// people away while it boots hangs up instead, and is worth another try.
	if strings.Contains(err.Error(), "unable to authenticate") && ctx.Err() == nil {
		return &AuthFailed{Machine: d.target.Name, User: d.target.User, Cause: err}
	}
	err = toPrintableError(err)
	if banner != "" {
		err = fmt.Errorf("%w (it says: %.200s)", err, banner)
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	return &Lost{Machine: d.target.Name, Doing: "logging in over SSH", Cause: err}
}

// toPrintableError is an error whose words a server may have chosen, such as its version or its reason for hanging up.
func toPrintableError(err error) error {
	if said := printable.Line(err.Error()); said != err.Error() {
		return fmt.Errorf("%.500s", said)
	}
	return err
}
