package gateway

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/printable"
)

const (
	// connectTimeout bounds the connection to the gateway, with its handshake.
	connectTimeout = 10 * time.Second
	// answerTimeout bounds a request. It is longer than the gateway takes to reach a machine through a bastion.
	answerTimeout = 45 * time.Second
	// maxRefusal is how much of the text of a refusal is read, in bytes.
	maxRefusal = 4096
)

// Client reaches machines through a gateway.
type Client struct {
	Address string // host:port
	TLS     *tls.Config
}

// RefusedError is the answer of a gateway that does not connect to a machine.
type RefusedError struct {
	Address string
	// Status is an HTTP status: 404 no such machine, 409 it has no address, 502 it does not answer, 503 try again.
	Status int
	Text   string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the gateway %s refused the connection: %s", e.Address, cmp.Or(e.Text,
		http.StatusText(e.Status)))
}

// UnreachableError says that the gateway itself does not answer, or refuses the certificate.
type UnreachableError struct {
	Address string
	Cause   error
}

func (e *UnreachableError) Error() string {
	var network *net.OpError
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(e.Cause, &network) && network.Op == "remote error": // what crypto/tls calls an alert
		return fmt.Sprintf("the gateway %s does not accept the certificate of this computer (%v): it has to be valid "+
			"and of the authority of the gateway's installation", e.Address, e.Cause)
	case errors.As(e.Cause, &untrusted):
		return fmt.Sprintf("the gateway %s has a certificate that does not fit (%v): it needs one of the authority of "+
			"this installation, with the name in gateway.address", e.Address, e.Cause)
	}
	return fmt.Sprintf("the gateway %s does not answer: %v", e.Address, e.Cause)
}

func (e *UnreachableError) Unwrap() error { return e.Cause }

// DialMachine connects to the SSH port of a machine. Errors are *RefusedError and *UnreachableError.
func (c Client) DialMachine(ctx context.Context, machine, clusterUID string) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTimeout, fmt.Errorf("no answer within %s", answerTimeout))
	defer cancel()
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, &UnreachableError{Address: c.Address, Cause: err}
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	through, err := c.request(conn, formatAuthority(machine, clusterUID))
	if !stop() { // ctx ended: the connection is closed or about to be
		err = &UnreachableError{Address: c.Address, Cause: context.Cause(ctx)}
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return through, nil
}

func (c Client) connect(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, connectTimeout, fmt.Errorf("no connection within %s", connectTimeout))
	defer cancel()
	conn, err := (&tls.Dialer{Config: c.TLS}).DialContext(ctx, "tcp", c.Address)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return conn, err
}

// request asks for the connection to a machine. The answer to a refused certificate comes here, after the handshake.
func (c Client) request(conn net.Conn, authority string) (net.Conn, error) {
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Host: authority}, Host: authority,
		Header: http.Header{}}
	if err := request.Write(conn); err != nil {
		return nil, &UnreachableError{Address: c.Address, Cause: err}
	}
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, request)
	if err != nil {
		return nil, &UnreachableError{Address: c.Address, Cause: err}
	}
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, maxRefusal)) // the status says enough
		response.Body.Close()
		return nil, &RefusedError{Address: c.Address, Status: response.StatusCode,
			Text: printable.Line(strings.TrimSpace(string(text)))}
	}
	return newBufferedConn(conn, reader), nil
}

// ReadVersion returns the version of skyd that serves the gateway. If the gateway does not answer, the error is an
// *UnreachableError.
func (c Client) ReadVersion(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, connectTimeout, fmt.Errorf("no answer within %s", connectTimeout))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+c.Address+healthPath, http.NoBody)
	if err != nil {
		return "", err
	}
	transport := &http.Transport{TLSClientConfig: c.TLS, DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", &UnreachableError{Address: c.Address, Cause: err}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxRefusal))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("it answers with status %s", response.Status)
	}
	if err != nil {
		return "", &UnreachableError{Address: c.Address, Cause: err}
	}
	return printable.Line(strings.TrimSpace(string(text))), nil
}
