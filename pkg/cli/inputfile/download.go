package inputfile

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// downloadTimeout bounds a download, redirects included.
const downloadTimeout = 30 * time.Second

// maxRedirects bounds the redirects of a download.
const maxRedirects = 5

// download reads a file from the web.
func download(ctx context.Context, address string) ([]byte, error) {
	u, err := url.Parse(address)
	if err == nil {
		err = checkAddress(u)
	}
	if err != nil {
		return nil, fmt.Errorf("-f %s: %w", hidePassword(u, address), err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, downloadTimeout,
		fmt.Errorf("no complete answer within %v", downloadTimeout))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	web := &http.Client{CheckRedirect: func(next *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return fmt.Errorf("more than %d redirects", maxRedirects)
		}
		return checkAddress(next.URL)
	}}
	answer, err := web.Do(request)
	if err != nil {
		return nil, explainDownload(ctx, u, err)
	}
	defer func() { _ = answer.Body.Close() }() // only read from
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("reading %s: the server answers %s", u.Redacted(), answer.Status)
	}
	data, err := readBounded(answer.Body, u.Redacted())
	if err != nil && ctx.Err() != nil {
		return nil, explainDownload(ctx, u, err)
	}
	return data, err
}

// explainDownload says which address failed, and why a deadline cut it off.
func explainDownload(ctx context.Context, u *url.URL, err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("reading %s: %w", u.Redacted(), err)
}

// hidePassword is an address for people.
func hidePassword(u *url.URL, address string) string {
	if u == nil {
		return address
	}
	return u.Redacted()
}

// checkAddress accepts https, and http on this computer: what arrives decides which machines run and what they cost.
func checkAddress(u *url.URL) error {
	switch {
	case u.Host == "":
		return errors.New("an address needs a host, such as https://example.com/dev.yaml")
	case u.Scheme == "https":
		return nil
	case u.Scheme != "http":
		return fmt.Errorf("%s:// is not supported: use https://", u.Scheme)
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if u.Hostname() == "localhost" || err == nil && ip.IsLoopback() {
		return nil
	}
	return errors.New("http:// can be changed on its way: use https:// (http:// is for this computer only)")
}
