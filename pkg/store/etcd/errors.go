package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// UnavailableError says that etcd does not answer.
type UnavailableError struct {
	Endpoints []string
	Cause     error
}

func (e *UnavailableError) Error() string {
	msg := fmt.Sprintf("etcd at %s does not answer", strings.Join(e.Endpoints, ", "))
	if e.Cause != nil {
		msg += ": " + strings.ReplaceAll(e.Cause.Error(), "\n", " ")
	}
	return msg
}

func (e *UnavailableError) Unwrap() error { return e.Cause }

// Reason is EtcdUnavailable.
func (e *UnavailableError) Reason() string { return "EtcdUnavailable" }

// Final is false: etcd may answer the next time.
func (e *UnavailableError) Final() bool { return false }

// wrapError adds to an error of etcd's client what was being done, and where. ctx is the caller's, without the limit of
// the exchange.
func (c *Client) wrapError(ctx context.Context, doing string, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	}
	switch errorCode(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled: // cancelled by limitCall
		return fmt.Errorf("%s: %w", doing, &UnavailableError{Endpoints: c.client.Endpoints(),
			Cause: stripGRPCWrapping(err)})
	}
	return fmt.Errorf("%s: etcd at %s: %w", doing, strings.Join(c.client.Endpoints(), ", "), err)
}

func errorCode(err error) codes.Code {
	var known rpctypes.EtcdError
	switch {
	case errors.As(err, &known):
		return known.Code()
	case errors.Is(err, context.DeadlineExceeded):
		return codes.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return codes.Canceled
	}
	return status.Code(err)
}

// stripGRPCWrapping removes gRPC's wrapping from an error's text, which says the same thing three times. errors.Is and
// errors.As still find what the error wraps.
func stripGRPCWrapping(err error) error {
	if code := errorCode(err); code == codes.DeadlineExceeded || code == codes.Canceled {
		return fmt.Errorf("no answer in time (%w)", context.DeadlineExceeded)
	}
	text := rpctypes.ErrorDesc(err)
	if i := strings.LastIndex(text, `desc = "`); i >= 0 {
		text = strings.TrimSuffix(text[i+len(`desc = "`):], `"`)
	}
	return &reworded{text: text, err: err}
}

type reworded struct {
	text string
	err  error
}

func (r *reworded) Error() string { return r.text }
func (r *reworded) Unwrap() error { return r.err }
