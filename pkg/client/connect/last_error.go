package connect

import (
	"context"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// LastError holds the error of the last try of a call. The SDK of Temporal tries again until the call's deadline, and
// returns only that this has passed.
type LastError struct {
	mu  sync.Mutex
	err error
}

// IsDisconnected reports whether the last try failed because there was no connection.
func (l *LastError) IsDisconnected() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return isConnectionError(l.err)
}

// isConnectionError recognizes gRPC's own text, because a busy server returns the same code.
func isConnectionError(err error) bool {
	if status.Code(err) != codes.Unavailable {
		return false
	}
	text := status.Convert(err).Message()
	return strings.Contains(text, "connection error") || strings.Contains(text, "transport") ||
		strings.Contains(text, "connection refused") || strings.Contains(text, "EOF")
}

type lastErrorKey struct{}

// WithLastError returns a context whose calls record their errors.
func WithLastError(ctx context.Context) (context.Context, *LastError) {
	last := &LastError{}
	return context.WithValue(ctx, lastErrorKey{}, last), last
}

// recordLastError is called for every try, inside the SDK's interceptors.
func recordLastError(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, next grpc.UnaryInvoker,
	opts ...grpc.CallOption) error {
	err := next(ctx, method, req, reply, conn, opts...)
	if last, ok := ctx.Value(lastErrorKey{}).(*LastError); ok {
		last.mu.Lock()
		last.err = err
		last.mu.Unlock()
	}
	return err
}
