package connect

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestLastTryTellsADownServerFromABusyOne(t *testing.T) {
	for text, want := range map[string]bool{
		`connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:1: i/o timeout"`: true,
		"shard status unknown":                     false,
		"Not enough hosts to serve the request":    false,
		"error reading from server: EOF":           true,
		"transport is closing":                     true,
		"database is locked (5) (SQLITE_BUSY)":     false,
		"dial tcp 127.0.0.1:1: connection refused": true,
	} {
		ctx, last := WithLastError(t.Context())
		_ = recordLastError(ctx, "", nil, nil, nil,
			func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
				return status.Error(codes.Unavailable, text)
			})
		if last.IsDisconnected() != want {
			t.Errorf("%q: %t", text, last.IsDisconnected())
		}
		_ = recordLastError(ctx, "", nil, nil, nil,
			func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
				return status.FromContextError(context.DeadlineExceeded).Err()
			})
		if last.IsDisconnected() {
			t.Errorf("after %q, a try without an answer counts as without a connection", text)
		}
	}
}
