package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/printable"
	"github.com/sky-shift/skyctl/pkg/redact"
)

const (
	defaultPort = 22
	// handshakeTimeout bounds the SSH handshake, which is slow on a machine that boots on a loaded host.
	handshakeTimeout = 15 * time.Second
	// connectTimeout bounds one TCP connect. AwaitDial starts with a shorter timeout, because a machine that just got
	// its address drops packets and the kernel retries only after seconds.
	connectTimeout      = 10 * time.Second
	firstConnectTimeout = 2 * time.Second
	// bastionTimeout bounds a connection through a bastion, with the login there.
	bastionTimeout = 30 * time.Second
)

// Dial connects and logs in, with one attempt. It returns *HostKeyMismatch or *AuthFailed, which are final, *Lost if a
// retry may help, or a plain error if the target or the key is invalid.
func Dial(ctx context.Context, t Target, privatePEM []byte) (*Host, error) {
	d, err := newDialer(t, privatePEM)
	if err != nil {
		return nil, err
	}
	return d.dial(ctx)
}

func (d *dialer) dial(ctx context.Context) (*Host, error) {
	h, _, err := d.dialOnce(ctx, connectTimeout)
	return h, err
}

// AwaitDial retries until the machine answers, a final error occurs, or ctx ends; the error then includes the last
// attempt's. progress, which may be nil, receives a description of what it waits for.
func AwaitDial(ctx context.Context, t Target, privatePEM []byte, progress func(string)) (*Host, error) {
	d, err := newDialer(t, privatePEM)
	if err != nil {
		return nil, err
	}
	return d.awaitDial(ctx, progress)
}

func (d *dialer) awaitDial(ctx context.Context, progress func(string)) (*Host, error) {
	var reported string
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
		if wait := describeWait(d.address, connected); wait != reported && progress != nil {
			progress(wait)
			reported = wait
		}
		if cause := await.Pause(ctx, pauseBeforeRetry(time.Since(begin), answered)); cause != nil {
			return nil, &Lost{Machine: d.target.Name,
				Doing: fmt.Sprintf("waiting %s for SSH at %s", time.Since(begin).Round(time.Second), d.address),
				Cause: fmt.Errorf("%w; last attempt: %w", cause, lostCauseOf(err))}
		}
	}
}

func describeWait(address string, connected bool) string {
	if connected {
		return "waiting for the machine to finish booting"
	}
	return "waiting for SSH at " + address
}

// pauseBeforeRetry returns the pause before the next attempt. A refused connection is cheap, so attempts are frequent
// in the first minute. A server that answers and hangs up may count failures, so the pauses grow.
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

// dialer is a target with parsed keys.
type dialer struct {
	target  Target
	address string
	signer  ssh.Signer
	pinned  ssh.PublicKey
	// connect opens the connection; nil opens it directly.
	connect      func(context.Context) (net.Conn, error)
	directAdvice string // as in Routes
}

func newDialer(t Target, privatePEM []byte) (*dialer, error) {
	signer, err := ssh.ParsePrivateKey(privatePEM)
	if err != nil {
		return nil, fmt.Errorf("machine %s: parsing the SSH key: %w", t.Name, err)
	}
	d := &dialer{target: t, signer: signer}
	if t.HostKey != "" {
		d.pinned, _, _, _, err = ssh.ParseAuthorizedKey([]byte(t.HostKey))
		if err != nil {
			return nil, fmt.Errorf("machine %s: parsing the pinned host key: %w", t.Name, err)
		}
	}
	d.address = t.hostPort()
	return d, nil
}

// dialOnce makes one attempt; connected reports whether the TCP connection was established.
func (d *dialer) dialOnce(ctx context.Context, timeout time.Duration) (h *Host, connected bool, err error) {
	lost := func(doing string, err error) error { return &Lost{Machine: d.target.Name, Doing: doing, Cause: err} }
	tcp, err := d.openConnection(ctx, timeout)
	if err != nil {
		if IsLost(err) {
			return nil, false, err
		}
		if advice := d.directAdvice; advice != "" && d.connect == nil && !errors.Is(err, syscall.ECONNREFUSED) {
			err = fmt.Errorf("%w; %s", err, advice)
		}
		return nil, false, lost("connecting to SSH", err)
	}
	link := &monitoredConn{Conn: tcp}
	late := time.AfterFunc(handshakeTimeout, func() { link.Close() }) // one through a bastion ignores deadlines
	defer late.Stop()
	stop := context.AfterFunc(ctx, func() { link.Close() })
	defer stop()
	_ = link.SetDeadline(time.Now().Add(handshakeTimeout))

	var hostKey ssh.PublicKey
	var banner string
	conn, chans, reqs, err := ssh.NewClientConn(link, d.address, d.clientConfig(&hostKey, &banner))
	if err != nil {
		link.Close()
		return nil, true, d.toHandshakeError(ctx, err, banner)
	}
	_ = link.SetDeadline(time.Time{})
	if !stop() { // ctx ended during the handshake: the link is closed or about to be
		conn.Close()
		return nil, true, lost("logging in over SSH", context.Cause(ctx))
	}
	return newHost(d.target, ssh.NewClient(conn, chans, reqs), link, toAuthorizedKey(hostKey)), true, nil
}

// openConnection connects to the SSH port of the machine; timeout bounds it, unless it is through a bastion.
func (d *dialer) openConnection(ctx context.Context, timeout time.Duration) (net.Conn, error) {
	if d.connect == nil {
		return (&net.Dialer{Timeout: timeout}).DialContext(ctx, "tcp", d.address)
	}
	return d.connect(ctx)
}

func (d *dialer) clientConfig(hostKey *ssh.PublicKey, banner *string) *ssh.ClientConfig {
	c := &ssh.ClientConfig{
		User: d.target.User,
		Auth: []ssh.AuthMethod{ssh.PublicKeys(d.signer)},
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if d.pinned != nil && !bytes.Equal(key.Marshal(), d.pinned.Marshal()) {
				return d.newKeyMismatch(ssh.FingerprintSHA256(key))
			}
			*hostKey = key
			return nil
		},
		// The banner says why a machine rejects logins, for example because it is still booting.
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

// hostKeyAlgorithms makes a server with several host keys present the pinned one.
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
	var noCommon *ssh.AlgorithmNegotiationError
	if d.pinned != nil && errors.As(err, &noCommon) && noCommon.What == "host key" {
		return d.newKeyMismatch("")
	}
	// The library has no type for this error; the test of a rejected key guards the string. A machine whose PAM rejects
	// logins during boot hangs up instead, and is retried.
	if strings.Contains(err.Error(), "unable to authenticate") && ctx.Err() == nil {
		return &AuthFailed{Machine: d.target.Name, User: d.target.User, Cause: err}
	}
	err = toPrintableError(err)
	if banner != "" {
		err = fmt.Errorf("%w (login banner: %.200s)", err, banner)
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	return &Lost{Machine: d.target.Name, Doing: "logging in over SSH", Cause: err}
}

// toPrintableError sanitizes an error whose text may come from the server, such as its version or disconnect message.
func toPrintableError(err error) error {
	if text := printable.Line(err.Error()); text != err.Error() {
		return fmt.Errorf("%.500s", text)
	}
	return err
}
