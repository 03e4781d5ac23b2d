package etcdserver

import (
	"context"
	"sync/atomic"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
)

// Traffic counts what a client exchanges with etcd.
type Traffic struct {
	calls, received atomic.Int64
}

// Calls is the number of requests, without those of watches.
func (n *Traffic) Calls() int64 { return n.calls.Load() }

// Received is the number of bytes of all responses, with those of watches.
func (n *Traffic) Received() int64 { return n.received.Load() }

// Reset sets both to 0.
func (n *Traffic) Reset() { n.calls.Store(0); n.received.Store(0) }

// NewCountedClient returns a client whose traffic is counted.
func NewCountedClient(t testing.TB, endpoint string) (*clientv3.Client, *Traffic) {
	t.Helper()
	n := &Traffic{}
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialOptions: n.DialOptions()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, n
}

// DialOptions are the options of a client whose traffic is counted.
func (n *Traffic) DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(n.countCall), grpc.WithChainStreamInterceptor(n.countStream),
	}
}

func (n *Traffic) countCall(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn,
	next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := next(ctx, method, req, reply, conn, opts...)
	n.calls.Add(1)
	n.addResponse(reply)
	return err
}

func (n *Traffic) countStream(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string,
	next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := next(ctx, desc, conn, method, opts...)
	return &countedStream{ClientStream: stream, traffic: n}, err
}

func (n *Traffic) addResponse(m any) {
	if response, ok := m.(protoadapt.MessageV1); ok {
		n.received.Add(int64(proto.Size(protoadapt.MessageV2Of(response))))
	}
}

type countedStream struct {
	grpc.ClientStream
	traffic *Traffic
}

// RecvMsg implements grpc.ClientStream.
func (s *countedStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err == nil {
		s.traffic.addResponse(m)
	}
	return err
}
