package join

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/token"
)

// answerMaxSize is more than the list of some ten thousand snapshots.
const answerMaxSize = 16 << 20

// PostAsServer posts once to a server at https://host:port, with the password of the server token. The CA that the
// server shows has to be the one that the token names; a bare password trusts any.
func PostAsServer(ctx context.Context, server, serverToken, path string, body []byte) ([]byte, error) {
	t, err := token.Parse(serverToken)
	if err != nil {
		return nil, err
	}
	base := strings.TrimSuffix(server, "/")
	blind := &http.Client{Timeout: requestTimeout, Transport: &http.Transport{DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	bundle, err := getBody(ctx, blind, base+"/cacerts")
	if err != nil {
		return nil, fmt.Errorf("failed to get CA certs: %w", err)
	}
	if err := t.VerifyCA(bundle); err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(bundle)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth(token.ServerUser, t.Password)
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &refusedError{url: base + path, code: resp.StatusCode}
	}
	return io.ReadAll(io.LimitReader(resp.Body, answerMaxSize))
}

// IsRefusal tells whether a server answered, but not with 200.
func IsRefusal(err error) bool {
	var refusal *refusedError
	return errors.As(err, &refusal)
}
