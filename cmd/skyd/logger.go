package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"strings"

	"github.com/sky-shift/skyctl/pkg/redact"
)

func newLogger(w io.Writer, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level is %q: it should be debug, info, warn or error", level)
	}
	handler := shutdownFilter{redact.LogHandler{Handler: slog.NewTextHandler(w, &slog.HandlerOptions{Level: l})}}
	// Libraries that use the standard logger log nothing that people need.
	log.SetFlags(0)
	log.SetOutput(slog.NewLogLogger(handler, slog.LevelDebug).Writer())
	return slog.New(handler), nil
}

// shutdownFilter drops what Temporal and its SDK log about calls that were cancelled because the program stops.
type shutdownFilter struct {
	slog.Handler
}

func (h shutdownFilter) Handle(ctx context.Context, r slog.Record) error {
	cancelled := false
	r.Attrs(func(a slog.Attr) bool {
		cancelled = cancelled || strings.EqualFold(a.Key, "error") &&
			strings.HasSuffix(a.Value.String(), context.Canceled.Error())
		return !cancelled
	})
	if cancelled {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h shutdownFilter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return shutdownFilter{h.Handler.WithAttrs(attrs)}
}

func (h shutdownFilter) WithGroup(name string) slog.Handler {
	return shutdownFilter{h.Handler.WithGroup(name)}
}
