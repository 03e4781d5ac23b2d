package connect

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"

	"github.com/sky-shift/skyctl/pkg/config"
)

// compressionRecorder records how the requests to a server are compressed.
type compressionRecorder struct{ last atomic.Value }

func (*compressionRecorder) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return ctx
}
func (*compressionRecorder) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return ctx
}
func (*compressionRecorder) HandleConn(context.Context, stats.ConnStats) {}
func (c *compressionRecorder) HandleRPC(_ context.Context, s stats.RPCStats) {
	if h, ok := s.(*stats.InHeader); ok {
		c.last.Store(h.Compression)
	}
}

func TestOnlyRequestsToAnotherComputerAreCompressed(t *testing.T) {
	for external, want := range map[bool]string{false: "", true: "gzip"} {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
		if err != nil {
			t.Fatal(err)
		}
		var recorder compressionRecorder
		server := grpc.NewServer(grpc.StatsHandler(&recorder))
		workflowservice.RegisterWorkflowServiceServer(server, workflowservice.UnimplementedWorkflowServiceServer{})
		go func() { _ = server.Serve(l) }()
		t.Cleanup(server.Stop)
		cfg := newTestSettings(t, external)
		cfg.Temporal.Address, cfg.Temporal.TLS = l.Addr().String(), config.TLS{}
		c, err := DialTemporal(t.Context(), cfg, "test", nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		if got := recorder.last.Load(); got != want {
			t.Errorf("external %v: the request was compressed with %q, want %q", external, got, want)
		}
	}
}
