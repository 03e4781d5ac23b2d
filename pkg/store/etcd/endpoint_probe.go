package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strings"
	"time"
)

// probeTimeout bounds the search for the reason why the endpoint does not answer.
const probeTimeout = 500 * time.Millisecond

// probeEndpoint finds out why the first endpoint does not answer, and whether it accepts connections and is only slow.
// gRPC does not report it before the first call.
func probeEndpoint(ctx context.Context, o Options) (slow bool, why error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	host, secure := o.Endpoints[0], o.TLS != nil
	if u, err := url.Parse(host); err == nil && u.Host != "" {
		host, secure = u.Host, u.Scheme == "https"
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", host)
	if err != nil {
		return false, trimNetError(err)
	}
	defer conn.Close()
	if secure {
		if conn, err = handshakeTLS(ctx, conn, host, o.TLS); err != nil {
			return isTimeout(err), trimNetError(err)
		}
	}
	// In HTTP/2 the server sends first. If it rejects our certificate, this read fails.
	conn.SetReadDeadline(time.Now().Add(probeTimeout))
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return isTimeout(err), trimNetError(err)
	}
	return true, errors.New("the endpoint accepts connections but does not answer as etcd")
}

func isTimeout(err error) bool {
	var late net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &late) && late.Timeout()
}

func handshakeTLS(ctx context.Context, conn net.Conn, host string, cfg *tls.Config) (net.Conn, error) {
	if cfg == nil {
		cfg = &tls.Config{}
	}
	cfg = cfg.Clone()
	cfg.NextProtos = []string{"h2"}
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = strings.Cut(host, ":")
		if h, _, err := net.SplitHostPort(host); err == nil {
			cfg.ServerName = h
		}
	}
	secured := tls.Client(conn, cfg)
	return secured, secured.HandshakeContext(ctx)
}

// trimNetError removes the address from a network error, because the message around it already contains it.
func trimNetError(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err
	}
	return err
}
