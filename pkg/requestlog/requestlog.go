// Package requestlog tells which requests a program sends to its servers, and how long they take. It never tells what
// is in them, because that can be secret.
package requestlog

import (
	"context"
	"path"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Request is a request that has ended, or a stream that was opened.
type Request struct {
	// Server is the address, Method the name of the call, such as Range or StartWorkflowExecution.
	Server, Method string
	Took           time.Duration
	// Result is the code of gRPC: OK, Unavailable and so on.
	Result string
	// Sent and Received are sizes in bytes; 0 if they are unknown.
	Sent, Received int
	IsStream       bool
}

type logKey struct{}

// With returns a context whose requests are told to see, which may be called concurrently.
func With(ctx context.Context, see func(Request)) context.Context {
	return context.WithValue(ctx, logKey{}, see)
}

// DialOptions make a connection tell its requests.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithChainUnaryInterceptor(logCall), grpc.WithChainStreamInterceptor(logStream)}
}

func logCall(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, next grpc.UnaryInvoker,
	opts ...grpc.CallOption) error {
	see, ok := ctx.Value(logKey{}).(func(Request))
	if !ok {
		return next(ctx, method, req, reply, conn, opts...)
	}
	began := time.Now()
	err := next(ctx, method, req, reply, conn, opts...)
	see(Request{Server: conn.Target(), Method: path.Base(method), Took: time.Since(began),
		Result: status.Code(err).String(), Sent: sizeOf(req), Received: sizeOf(reply)})
	return err
}

func logStream(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, next grpc.Streamer,
	opts ...grpc.CallOption) (grpc.ClientStream, error) {
	began := time.Now()
	stream, err := next(ctx, desc, conn, method, opts...)
	if see, ok := ctx.Value(logKey{}).(func(Request)); ok {
		see(Request{Server: conn.Target(), Method: path.Base(method), Took: time.Since(began),
			Result: status.Code(err).String(), IsStream: true})
	}
	return stream, err
}

// sizeOf returns the size of a message of protobuf, also of an old one.
func sizeOf(message any) int {
	switch m := message.(type) {
	case interface{ Size() int }:
		return m.Size()
	case proto.Message:
		return proto.Size(m)
	}
	return 0
}
