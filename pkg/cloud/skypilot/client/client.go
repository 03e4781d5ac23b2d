// Package client is an HTTP client of a SkyPilot API server: its calls, its requests and their results, and the
// versions that skyctl supports.
package client

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

	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/logtext"
)

const (
	// callTimeout bounds a call that the server answers at once, resultPollTimeout one poll of a request, which may
	// take longer than that.
	callTimeout       = 30 * time.Second
	resultPollTimeout = 2 * time.Minute
	// retryTimeout is how long a call is retried if the server does not answer. If nothing listens at its address, and
	// skyctl does not start it, absentServerTimeout applies, so that the user hears of it soon.
	retryTimeout        = 20 * time.Second
	absentServerTimeout = 2 * time.Second
	retryInterval       = 500 * time.Millisecond
	connectTimeout      = 10 * time.Second
	// maxAnswerSize is how much of an answer is read.
	maxAnswerSize = 64 << 20
)

// Client calls one API server.
type Client struct {
	Endpoint string
	token    string
	person   *url.Userinfo // logs in with a password if there is no token; may be nil
	http     *http.Client
	// Revive starts the server if nothing answers; nil if skyctl does not run the server.
	Revive func(context.Context) error

	mu            sync.Mutex
	versionAgreed bool
}

// New returns a client. As for SkyPilot's own programs, the endpoint may contain a user name and a password. They
// appear in no message.
func New(endpoint, token string) *Client {
	var person *url.Userinfo
	if u, err := url.Parse(endpoint); err == nil && u.User != nil {
		person, u.User = u.User, nil
		endpoint = u.String()
	}
	return &Client{Endpoint: endpoint, token: token, person: person,
		http: &http.Client{Transport: &http.Transport{
			DialContext: (&net.Dialer{Timeout: connectTimeout}).DialContext,
			Proxy:       http.ProxyFromEnvironment, MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute,
		}}}
}

// statusError is an answer that is neither a success nor the result of a failed request.
type statusError struct {
	Path string
	Code int
	Text string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s answered %d: %s", e.Path, e.Code, e.Text)
}

// unreachableError means that there was no answer.
type unreachableError struct{ cause error }

func (e *unreachableError) Error() string { return e.cause.Error() }
func (e *unreachableError) Unwrap() error { return e.cause }

// IsUnreachable reports whether a call got no answer.
func IsUnreachable(err error) bool {
	var e *unreachableError
	return errors.As(err, &e)
}

// isServerAbsent reports whether nothing listens at the server's address, or its name has no address.
func isServerAbsent(err error) bool {
	var dns *net.DNSError
	return errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &dns)
}

// isConnectFailure reports whether the connection failed, as opposed to a server that is slow.
func isConnectFailure(err error) bool {
	var op *net.OpError
	return isServerAbsent(err) || errors.As(err, &op) && op.Op == "dial"
}

// IsNotFound reports whether the server does not know the path or the request.
func IsNotFound(err error) bool {
	var e *statusError
	return errors.As(err, &e) && e.Code == http.StatusNotFound
}

// exchangeOnce sends one HTTP request and reads the whole answer.
func (c *Client) exchangeOnce(ctx context.Context, path string, body any) (*http.Response, []byte, error) {
	response, err := c.Send(ctx, path, body)
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

// Send sends one HTTP request: a POST if there is a body, else a GET. The caller closes the body of the response.
func (c *Client) Send(ctx context.Context, path string, body any) (*http.Response, error) {
	method, content := http.MethodGet, io.Reader(nil)
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("ask %s: %w", path, err)
		}
		method, content = http.MethodPost, bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.Endpoint+path, content)
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

// Call sends a request and decodes a success into answer, which may be nil. It retries for a while if nothing answers,
// or only a proxy in front of the server does.
func (c *Client) Call(ctx context.Context, path string, body, answer any) (http.Header, error) {
	var last error
	for start := time.Now(); ; {
		header, err := c.TryCall(ctx, path, body, answer)
		if err == nil || !isTransientFailure(err) {
			return header, err
		}
		last = err
		if spent := time.Since(start); spent > retryTimeout || spent > absentServerTimeout && c.Revive == nil &&
			isServerAbsent(err) {
			return nil, c.wrapServerError("ask the SkyPilot API server", last)
		}
		if err := c.reviveServer(ctx, err); err != nil {
			return nil, err
		}
		if err := await.Pause(ctx, retryInterval); err != nil {
			return nil, c.wrapServerError("ask the SkyPilot API server", errors.Join(last, err))
		}
	}
}

// TryCall is Call without retries.
func (c *Client) TryCall(ctx context.Context, path string, body, answer any) (http.Header, error) {
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
			"the answer of the server at %s is not one of SkyPilot %s: check %s", c.Endpoint, Version, EnvEndpoint)}
	}
	return response.Header, nil
}

// reviveServer starts a local server after a call that got no answer.
func (c *Client) reviveServer(ctx context.Context, err error) error {
	if c.Revive == nil || !IsUnreachable(err) {
		return nil
	}
	return c.Revive(ctx)
}

// isTransientFailure reports whether a call may succeed in a moment: there was no answer, or that of a proxy or of a
// busy server.
func isTransientFailure(err error) bool {
	var e *statusError
	return IsUnreachable(err) || errors.As(err, &e) &&
		(e.Code == http.StatusBadGateway || e.Code == http.StatusServiceUnavailable ||
			e.Code == http.StatusGatewayTimeout ||
			e.Code == http.StatusTooManyRequests)
}

// readErrorResponse turns an answer that is not a success into an error.
func (c *Client) readErrorResponse(path string, response *http.Response, data []byte) error {
	text := strings.TrimSpace(string(data))
	var answer struct {
		Error   string          `json:"error"`
		Message string          `json:"message"`
		Detail  json.RawMessage `json:"detail"`
	}
	if json.Unmarshal(data, &answer) == nil {
		var detail string
		if answer.Error == "version_mismatch" {
			return c.handleVersionMismatch(response.Header.Get("X-SkyPilot-Version"),
				logtext.StripEscapes(answer.Message))
		}
		if json.Unmarshal(answer.Detail, &detail) == nil && detail != "" {
			text = detail
		}
	} else if bare := ""; json.Unmarshal(data, &bare) == nil {
		text = bare
	}
	if response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden {
		return &cloud.Error{Kind: cloud.Access, Message: fmt.Sprintf(
			"the SkyPilot API server at %s denies access (%d: %s): put the token of a service account that may launch "+
				"into the file that skypilot.tokenFile names, or into %s",
			c.Endpoint, response.StatusCode, logtext.Shorten(text), EnvToken)}
	}
	return &statusError{Path: path, Code: response.StatusCode, Text: logtext.Shorten(logtext.StripEscapes(text))}
}

// wrapServerError gives the error of a call its kind and adds the endpoint.
func (c *Client) wrapServerError(doing string, err error) error {
	var typed *cloud.Error
	if errors.As(err, &typed) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if !isConnectFailure(err) {
		return &cloud.Error{Kind: cloud.Transient, Cause: err, Message: fmt.Sprintf("%s at %s", doing, c.Endpoint)}
	}
	next := "check that it runs, and that skypilot.endpoint (or " + EnvEndpoint + ") is its address"
	if c.Revive != nil {
		next = "'skyctl check' tells more"
	}
	return &cloud.Error{Kind: cloud.Unreachable, Cause: err,
		Message: fmt.Sprintf("%s at %s, which does not answer: %s", doing, c.Endpoint, next)}
}

// Submit submits a request and returns its id.
func (c *Client) Submit(ctx context.Context, path string, body any) (string, error) {
	header, err := c.Call(ctx, path, body, nil)
	if err != nil {
		return "", err
	}
	id := header.Get("X-Skypilot-Request-ID")
	if id == "" {
		return "", &cloud.Error{Kind: cloud.Infeasible, Message: fmt.Sprintf(
			"the server at %s returned no id for a request: it is not SkyPilot %s", c.Endpoint, Version)}
	}
	return id, nil
}

// FailedRequest is the error of a request that the server ran and that failed. Type is the name of a Python exception.
type FailedRequest struct {
	Type    string
	Message string
}

func (e *FailedRequest) Error() string { return e.Type + ": " + e.Message }

// ErrCancelled means that the request was cancelled.
var ErrCancelled = errors.New("the request was cancelled")

// AwaitResult waits until a request has finished and decodes its result into answer, which may be nil. The error is a
// *FailedRequest, ErrCancelled, one for which IsNotFound holds if the server does not know the request, or that of a
// call.
func (c *Client) AwaitResult(ctx context.Context, id string, answer any) error {
	var lost time.Time // when the server stopped answering
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
		if err := await.Pause(ctx, retryInterval); err != nil {
			return fmt.Errorf("wait for request %.8s: %w", id, err)
		}
	}
}

// pollResult waits for a request for up to resultPollTimeout.
func (c *Client) pollResult(ctx context.Context, id string, answer any) (bool, error) {
	short, cancel := context.WithTimeout(ctx, resultPollTimeout)
	defer cancel()
	path := "/api/get?request_id=" + url.QueryEscape(id)
	response, data, err := c.exchangeOnce(short, path, nil)
	if err != nil {
		if short.Err() != nil && ctx.Err() == nil {
			return false, nil
		}
		return false, err
	}
	var result Result
	switch response.StatusCode {
	case http.StatusOK:
		err = json.Unmarshal(data, &result)
	case http.StatusInternalServerError:
		var wrapped struct {
			Detail Result `json:"detail"`
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
			Text: logtext.Shorten(logtext.StripEscapes(string(data)))}
	}
	return true, result.DecodeInto(answer)
}

// StreamLog calls onLine for each line that a request logs, until it has finished.
func (c *Client) StreamLog(ctx context.Context, id string, onLine func(string)) error {
	response, err := c.Send(ctx, "/api/stream?format=plain&follow=true&request_id="+url.QueryEscape(id), nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		data, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10))
		return c.readErrorResponse("/api/stream", response, data)
	}
	return logtext.ForEachLine(response.Body, onLine)
}

// ReadProvisionLog returns the server's log of a cluster's calls to the cloud, or nothing if it is unavailable: it only
// adds detail to errors and progress.
func (c *Client) ReadProvisionLog(ctx context.Context, as Identity, cluster string) []string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	response, err := c.Send(ctx, "/provision_logs?follow=false", ProvisionLogsBody{
		RequestSettings: RequestSettings{Env: as.RequestEnv()}, ClusterName: cluster,
	})
	if err != nil {
		return nil
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil
	}
	var lines logtext.LastLines
	_ = logtext.ForEachLine(response.Body, lines.Add)
	return lines.All()
}
