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

// probeTimeout bounds the search for a reason; there is one already: nobody answered.
const probeTimeout = 500 * time.Millisecond

// probeEndpoint finds out why the first endpoint does not answer. gRPC keeps that to itself until a call is made.
func probeEndpoint(ctx context.Context, o Options) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	host, secure := o.Endpoints[0], o.TLS != nil
	if u, err := url.Parse(host); err == nil && u.Host != "" {
		host, secure = u.Host, u.Scheme == "https"
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", host)
	if err != nil {
		return trimNetError(err)
	}
	defer conn.Close()
	if secure {
		if conn, err = handshakeTLS(ctx, conn, host, o.TLS); err != nil {
			return trimNetError(err)
		}
	}
	// A server speaks first in HTTP/2; one that refuses our certificate says so here at the latest.
	conn.SetReadDeadline(time.Now().Add(probeTimeout))
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return trimNetError(err)
	}
	return errors.New("something listens there, but it is no etcd that we can speak to")
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

// trimNetError takes the address off an error of the network: it stands in the sentence around it already.
func trimNetError(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err
	}
	return err
}
