package skypilot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

const (
	// callTimeout bounds an exchange that the server answers at once; resultPollTimeout one look at a request that may
	// go on for long: whoever waits looks again.
	callTimeout       = 30 * time.Second
	resultPollTimeout = 2 * time.Minute
	// retryTimeout is how long a server that does not answer is asked again within one call; of one that nothing
	// listens for, and that is not ours to start, no more than absentServerTimeout: who waits is to hear of it.
	retryTimeout        = 20 * time.Second
	absentServerTimeout = 2 * time.Second
	retryInterval       = 500 * time.Millisecond
	// maxAnswerSize bounds what is read of an answer.
	maxAnswerSize = 64 << 20
)

// serverClient speaks to one API server.
type serverClient struct {
	endpoint string
	token    string
	person   *url.Userinfo // who logs in by a password where there is no token, or nil
	http     *http.Client
	// revive, which may be nil, starts the server where nothing answers.
	revive func(context.Context) error

	mu sync.Mutex
	ok bool // the version was agreed on
}

// newServerClient takes an endpoint as SkyPilot's own programs do, which may carry a name and a password; nobody is
// shown these.
func newServerClient(endpoint, token string) *serverClient {
	var person *url.Userinfo
	if u, err := url.Parse(endpoint); err == nil && u.User != nil {
		person, u.User = u.User, nil
		endpoint = u.String()
	}
	return &serverClient{endpoint: endpoint, token: token, person: person,
		http: &http.Client{Transport: &http.Transport{
			DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext,
			Proxy:       http.ProxyFromEnvironment, MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute,
		}}}
}

// statusError is an answer that is neither a success nor a failed request's.
type statusError struct {
	Path string
	Code int
	Text string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s answered %d: %s", e.Path, e.Code, e.Text)
}

// unreachableError says that nothing answered.
type unreachableError struct{ cause error }

func (e *unreachableError) Error() string { return e.cause.Error() }
func (e *unreachableError) Unwrap() error { return e.cause }

func isUnreachable(err error) bool {
	var e *unreachableError
	return errors.As(err, &e)
}

// isServerAbsent says that there is no server: nothing listens at its address, or it has none.
func isServerAbsent(err error) bool {
	var dns *net.DNSError
	return errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &dns)
}

// isConnectFailure says that no connection came about; a server that was reached and is slow is another matter.
func isConnectFailure(err error) bool {
	var op *net.OpError
	return isServerAbsent(err) || errors.As(err, &op) && op.Op == "dial"
}

func isNotFound(err error) bool {
	var e *statusError
	return errors.As(err, &e) && e.Code == http.StatusNotFound
}

// exchangeOnce does one exchange and reads all of its answer. A body makes it a POST.
func (c *serverClient) exchangeOnce(ctx context.Context, path string, body any) (*http.Response, []byte, error) {
	response, err := c.sendRequest(ctx, path, body)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerSize))
	if err != nil {
		return nil, nil, &unreachableError{fmt.Errorf("read the answer of %s: %w", path, err)}
	}
	return response, data, nil
}

func (c *serverClient) sendRequest(ctx context.Context, path string, body any) (*http.Response, error) {
	method, content := http.MethodGet, io.Reader(nil)
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("ask %s: %w", path, err)
		}
		method, content = http.MethodPost, bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.endpoint+path, content)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", path, err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-SkyPilot-API-Version", strconv.Itoa(APIVersion))
	request.Header.Set("X-SkyPilot-Version", Version)
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	} else if c.person != nil {
		password, _ := c.person.Password()
		request.SetBasicAuth(c.person.Username(), password)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, &unreachableError{err}
	}
	return response, nil
}

// callServer does an exchange and decodes a success into answer, which may be nil. It asks again for a while where
// nothing answers, or only what stands in front of a server.
func (c *serverClient) callServer(ctx context.Context, path string, body, answer any) (http.Header, error) {
	var last error
	for begin := time.Now(); ; {
		header, err := c.tryCallServer(ctx, path, body, answer)
		if err == nil || !isTransientFailure(err) {
			return header, err
		}
		last = err
		if spent := time.Since(begin); spent > retryTimeout || spent > absentServerTimeout && c.revive == nil &&
			isServerAbsent(err) {
			return nil, c.wrapServerError("ask the SkyPilot API server", last)
		}
		if err := c.reviveServer(ctx, err); err != nil {
			return nil, err
		}
		if err := sleepWithContext(ctx, retryInterval); err != nil {
			return nil, c.wrapServerError("ask the SkyPilot API server", errors.Join(last, err))
		}
	}
}

func (c *serverClient) tryCallServer(ctx context.Context, path string, body, answer any) (http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	response, data, err := c.exchangeOnce(ctx, path, body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, c.readErrorResponse(path, response, data)
	}
	if answer == nil {
		return response.Header, nil
	}
	if err := json.Unmarshal(data, answer); err != nil {
		return nil, &cloud.Error{Kind: cloud.Infeasible, Cause: err, Message: fmt.Sprintf(
			"the server at %s gives no answer that a SkyPilot %s would: check %s", c.endpoint, Version, EnvEndpoint)}
	}
	return response.Header, nil
}

// reviveServer starts a local server after an exchange that nobody answered.
func (c *serverClient) reviveServer(ctx context.Context, err error) error {
	if c.revive == nil || !isUnreachable(err) {
		return nil
	}
	return c.revive(ctx)
}

// isTransientFailure says that the same may go well in a moment: nobody answers, or a proxy or a server that is busy
// does.
func isTransientFailure(err error) bool {
	var e *statusError
	return isUnreachable(err) || errors.As(err, &e) &&
		(e.Code == http.StatusBadGateway || e.Code == http.StatusServiceUnavailable ||
			e.Code == http.StatusGatewayTimeout ||
			e.Code == http.StatusTooManyRequests)
}

// readErrorResponse reads an answer that is no success.
func (c *serverClient) readErrorResponse(path string, response *http.Response, data []byte) error {
	text := strings.TrimSpace(string(data))
	var told struct {
		Error   string          `json:"error"`
		Message string          `json:"message"`
		Detail  json.RawMessage `json:"detail"`
	}
	if json.Unmarshal(data, &told) == nil {
		var detail string
		if told.Error == "version_mismatch" {
			return c.handleVersionMismatch(response.Header.Get("X-SkyPilot-Version"), stripEscapes(told.Message))
		}
		if json.Unmarshal(told.Detail, &detail) == nil && detail != "" {
			text = detail
		}
	} else if bare := ""; json.Unmarshal(data, &bare) == nil {
		text = bare
	}
	if response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden {
		return &cloud.Error{Kind: cloud.Access, Message: fmt.Sprintf(
			"the SkyPilot API server at %s refuses us (%d: %s): put the token of a service account that may launch "+
				"into the file that skypilot.tokenFile names, or into %s",
			c.endpoint, response.StatusCode, shortenText(text), EnvToken)}
	}
	return &statusError{Path: path, Code: response.StatusCode, Text: shortenText(stripEscapes(text))}
}

// wrapServerError gives an error of an exchange its kind and says with whom it was.
func (c *serverClient) wrapServerError(doing string, err error) error {
	var typed *cloud.Error
	if errors.As(err, &typed) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if !isConnectFailure(err) {
		return &cloud.Error{Kind: cloud.Transient, Cause: err, Message: fmt.Sprintf("%s at %s", doing, c.endpoint)}
	}
	next := "see that it runs, and that skypilot.endpoint (or " + EnvEndpoint + ") names it"
	if c.revive != nil {
		next = "'skyctl check' tells more"
	}
	return &cloud.Error{Kind: cloud.Unreachable, Cause: err,
		Message: fmt.Sprintf("%s at %s, which does not answer: %s", doing, c.endpoint, next)}
}

// submitRequest hands in a request and returns its id.
func (c *serverClient) submitRequest(ctx context.Context, path string, body any) (string, error) {
	header, err := c.callServer(ctx, path, body, nil)
	if err != nil {
		return "", err
	}
	id := header.Get("X-Skypilot-Request-ID")
	if id == "" {
		return "", &cloud.Error{Kind: cloud.Infeasible, Message: fmt.Sprintf(
			"the server at %s took a request without giving its id: it is no SkyPilot %s", c.endpoint, Version)}
	}
	return id, nil
}

// failedRequest is a request that the server worked on and that failed.
type failedRequest struct {
	Type    string
	Message string
}

func (e *failedRequest) Error() string { return e.Type + ": " + e.Message }

// cancelledRequest says that somebody cancelled the request.
var errCancelled = errors.New("the request was cancelled")

// awaitResult waits for a request's end and decodes its result into answer, which may be nil. Its errors are
// *failedRequest, errCancelled, one for which isNotFound holds where the server does not know the request, or of the
// exchange.
func (c *serverClient) awaitResult(ctx context.Context, id string, answer any) error {
	var lost time.Time // since when nothing answers
	for {
		done, err := c.pollResult(ctx, id, answer)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("wait for request %.8s: %w", id, context.Cause(ctx))
		case err == nil && done:
			return nil
		case err == nil, isTransientFailure(err):
			if err == nil {
				lost = time.Time{}
			} else if lost.IsZero() {
				lost = time.Now()
			} else if time.Since(lost) > retryTimeout {
				return c.wrapServerError("wait for the SkyPilot API server", err)
			}
			if err := c.reviveServer(ctx, err); err != nil {
				return err
			}
		default:
			return err
		}
		if err := sleepWithContext(ctx, retryInterval); err != nil {
			return fmt.Errorf("wait for request %.8s: %w", id, err)
		}
	}
}

// pollResult waits for a request for as long as one exchange may take; it is not done where that is over first.
func (c *serverClient) pollResult(ctx context.Context, id string, answer any) (bool, error) {
	few, cancel := context.WithTimeout(ctx, resultPollTimeout)
	defer cancel()
	path := "/api/get?request_id=" + url.QueryEscape(id)
	response, data, err := c.exchangeOnce(few, path, nil)
	if err != nil {
		if few.Err() != nil && ctx.Err() == nil {
			return false, nil
		}
		return false, err
	}
	var result requestResult
	switch response.StatusCode {
	case http.StatusOK:
		err = json.Unmarshal(data, &result)
	case http.StatusInternalServerError:
		var wrapped struct {
			Detail requestResult `json:"detail"`
		}
		err = json.Unmarshal(data, &wrapped)
		result = wrapped.Detail
		if err == nil && result.Status == "" {
			err = errors.New("no payload")
		}
	default:
		return false, c.readErrorResponse(path, response, data)
	}
	if err != nil {
		return false, &statusError{Path: "/api/get", Code: response.StatusCode,
			Text: shortenText(stripEscapes(string(data)))}
	}
	return true, result.decodeInto(answer)
}

// streamLog copies what a request logs to lines until it ends; it is for people, so its errors are no more than a
// line's end.
func (c *serverClient) streamLog(ctx context.Context, id string, line func(string)) error {
	response, err := c.sendRequest(ctx, "/api/stream?format=plain&follow=true&request_id="+url.QueryEscape(id), nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		data, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10))
		return c.readErrorResponse("/api/stream", response, data)
	}
	return forEachLine(response.Body, line)
}

// sleepWithContext waits, or returns why that was ended.
func sleepWithContext(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
