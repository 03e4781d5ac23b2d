package embedded

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"

	temporallog "go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// temporalLogger passes Temporal's log to slog.
type temporalLogger struct {
	log   *slog.Logger
	fatal fatalErrorHandler
}

var _ temporallog.WithLogger = temporalLogger{}

func (l temporalLogger) writeRecord(level slog.Level, msg string, tags []tag.Tag) {
	if !l.log.Enabled(context.Background(), level) {
		return
	}
	l.log.LogAttrs(context.Background(), level, msg, tagAttributes(tags)...)
}

func tagAttributes(tags []tag.Tag) []slog.Attr {
	attrs := make([]slog.Attr, 0, len(tags))
	for _, t := range tags {
		attrs = append(attrs, slog.Any(t.Key(), t.Value()))
	}
	return attrs
}

func (l temporalLogger) Debug(msg string, tags ...tag.Tag) { l.writeRecord(slog.LevelDebug, msg, tags) }
func (l temporalLogger) Info(msg string, tags ...tag.Tag)  { l.writeRecord(slog.LevelInfo, msg, tags) }
func (l temporalLogger) Warn(msg string, tags ...tag.Tag)  { l.writeRecord(slog.LevelWarn, msg, tags) }
func (l temporalLogger) Error(msg string, tags ...tag.Tag) { l.writeRecord(slog.LevelError, msg, tags) }

// DPanic panics only in development, which this is not.
func (l temporalLogger) DPanic(msg string, tags ...tag.Tag) {
	l.writeRecord(slog.LevelError, msg, tags)
}

func (l temporalLogger) Panic(msg string, tags ...tag.Tag) {
	l.writeRecord(slog.LevelError, msg, tags)
	panic(msg)
}

// Fatal exits the process: Temporal calls it when it cannot continue, and relies on it not to return.
func (l temporalLogger) Fatal(msg string, tags ...tag.Tag) {
	l.writeRecord(slog.LevelError, msg, tags)
	l.fatal.restartIfDiskFull(msg)
	os.Exit(1)
}

func (l temporalLogger) With(tags ...tag.Tag) temporallog.Logger {
	args := make([]any, 0, len(tags))
	for _, a := range tagAttributes(tags) {
		args = append(args, a)
	}
	return temporalLogger{log: l.log.With(args...), fatal: l.fatal}
}

func newZapLogger(log *slog.Logger, fatal fatalErrorHandler) *zap.Logger {
	return zap.New(etcdCore{log.With("component", "etcd")}, zap.WithFatalHook(fatal))
}

// etcdCore passes etcd's log to slog.
type etcdCore struct {
	log *slog.Logger
}

var _ zapcore.Core = etcdCore{}

func (c etcdCore) Enabled(l zapcore.Level) bool {
	return c.log.Enabled(context.Background(), slogLevel(l))
}

func (c etcdCore) With(fields []zapcore.Field) zapcore.Core {
	var args []any
	for _, a := range zapAttributes(fields) {
		args = append(args, a)
	}
	return etcdCore{log: c.log.With(args...)}
}

func (c etcdCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c etcdCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	c.log.LogAttrs(context.Background(), slogLevel(e.Level), e.Message, zapAttributes(fields)...)
	return nil
}

func (c etcdCore) Sync() error { return nil }

func zapAttributes(fields []zapcore.Field) []slog.Attr {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(enc)
	}
	attrs := make([]slog.Attr, 0, len(enc.Fields))
	for k, v := range enc.Fields {
		attrs = append(attrs, slog.Any(k, v))
	}
	return attrs
}

func slogLevel(l zapcore.Level) slog.Level {
	switch {
	case l <= zapcore.DebugLevel:
		return slog.LevelDebug
	case l == zapcore.InfoLevel:
		return slog.LevelInfo
	case l == zapcore.WarnLevel:
		return slog.LevelWarn
	default:
		return slog.LevelError
	}
}

// serverLogHandler filters the servers' records for the program's log. It drops records below warning, and every record
// while the servers stop, because they then report each other's absence.
type serverLogHandler struct {
	slog.Handler
	quiet *atomic.Bool
}

// expectedWarnings are warnings about intended settings.
var expectedWarnings = map[string]bool{
	"Running http and grpc server on single port. This is not recommended for production.": true,
	// etcd's simple tokens are for its own users; there are none
	"simple token is not cryptographically signed": true,
}

// expectedWarningPrefix starts an expected warning that ends with a URL.
const expectedWarningPrefix = "HTTP API port has not been set."

func (h serverLogHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && !h.quiet.Load() && h.Handler.Enabled(ctx, l)
}

func (h serverLogHandler) Handle(ctx context.Context, r slog.Record) error {
	if expectedWarnings[r.Message] || strings.HasPrefix(r.Message, expectedWarningPrefix) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h serverLogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return serverLogHandler{h.Handler.WithAttrs(attrs), h.quiet}
}

func (h serverLogHandler) WithGroup(name string) slog.Handler {
	return serverLogHandler{h.Handler.WithGroup(name), h.quiet}
}
