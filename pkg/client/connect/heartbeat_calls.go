package connect

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
)

// heartbeatCallTimeout is how long Temporal may take to record a heartbeat. The SDK allows only its own interval
// between heartbeats.
const heartbeatCallTimeout = 20 * time.Second

// TolerateSlowHeartbeats returns a connection option with which a heartbeat that Temporal does not record is tried
// again later. SDK v1.50.0 (internalHeartBeat) otherwise cancels the activity after any error that may be temporary, as
// if the workflow had asked for it. A real cancellation is not an error of the call, and NotFound says that the try of
// the activity is over: both still stop it.
func TolerateSlowHeartbeats(log *slog.Logger) grpc.DialOption {
	// Not WithChainUnaryInterceptor: this one is outside of those of the SDK, which retry and convert errors.
	return grpc.WithUnaryInterceptor(tolerateSlowHeartbeat(log))
}

func tolerateSlowHeartbeat(log *slog.Logger) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn,
		next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if method != workflowservice.WorkflowService_RecordActivityTaskHeartbeat_FullMethodName {
			return next(ctx, method, req, reply, conn, opts...)
		}
		err := callPatiently(ctx, func(ctx context.Context) error {
			return next(ctx, method, req, reply, conn, opts...)
		})
		if over := new(serviceerror.NotFound); err == nil || errors.As(err, &over) {
			return err
		}
		if !errors.Is(ctx.Err(), context.Canceled) { // then the activity has ended
			log.Info("Temporal did not record a heartbeat; the activity continues", "error", err)
		}
		return nil
	}
}

// heartbeatEnd is the key of the context that ends the heartbeats of an activity.
type heartbeatEnd struct{}

// WithPatientHeartbeats returns a context whose heartbeats may take heartbeatCallTimeout each, until ctx ends. The SDK
// bounds them by the context that it derives from this one.
func WithPatientHeartbeats(ctx context.Context) context.Context {
	return context.WithValue(ctx, heartbeatEnd{}, ctx)
}

// callPatiently calls with heartbeatCallTimeout instead of the caller's deadline, if the caller wants that.
func callPatiently(ctx context.Context, call func(context.Context) error) error {
	end, ok := ctx.Value(heartbeatEnd{}).(context.Context)
	if !ok {
		return call(ctx)
	}
	patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), heartbeatCallTimeout)
	defer cancel()
	defer context.AfterFunc(end, cancel)()
	return call(patient)
}
