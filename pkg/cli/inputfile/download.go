package inputfile

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// downloadTimeout bounds a download, redirects included.
const downloadTimeout = 30 * time.Second

// maxRedirects bounds the redirects of a download.
const maxRedirects = 5

// download reads a file from the web.
func download(ctx context.Context, address string) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil {
		err = errors.New("this is not a valid address") // the error of the parser has parts of it
	} else {
		err = checkAddress(u)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", DisplayName(address), err)
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
		return nil, explainDownload(ctx, address, err)
	}
	defer func() { _ = answer.Body.Close() }() // only read from
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("reading %s: the server answers %s", DisplayName(address), answer.Status)
	}
	data, err := readBounded(answer.Body, DisplayName(address))
	if err != nil && ctx.Err() != nil {
		return nil, explainDownload(ctx, address, err)
	}
	return data, err
}

// explainDownload says which address failed, and why a deadline cut it off.
func explainDownload(ctx context.Context, address string, err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("reading %s: %w", DisplayName(address), err)
}

// DisplayName is a name for people. That of an address has no user, password or query: these can be secrets.
func DisplayName(name string) string {
	scheme, _, isAddress := strings.Cut(name, "://")
	if !isAddress {
		return name
	}
	u, err := url.Parse(name)
	if err != nil {
		return scheme + "://…"
	}
	text := scheme + "://" + u.Host + u.EscapedPath()
	if u.RawQuery != "" {
		text += "?…"
	}
	return text
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
