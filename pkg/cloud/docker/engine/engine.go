// Package engine talks to a Docker Engine for everything that has to do with hosts: its errors have kinds, its lists
// are filtered, and what an interrupted step leaves behind is found again.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/keyedlock"
)

// Engine is a Docker Engine.
type Engine struct {
	API *client.Client
	Log *slog.Logger

	lockDir string
	locks   keyedlock.Locks
}

// Options of an engine. All of them are required, except Host.
type Options struct {
	// Host is the engine's address; empty means the one in the environment (DOCKER_HOST) or the usual socket.
	Host string
	// LockDir holds the lock files that this user's processes share. It is created when missing.
	LockDir string
	Log     *slog.Logger
}

// New returns the engine. It does not connect yet.
func New(o Options) (*Engine, error) {
	opts := []client.Opt{client.FromEnv, client.WithAPIVersionNegotiation()}
	if o.Host != "" {
		opts = append(opts, client.WithHost(o.Host))
	}
	api, err := client.NewClientWithOpts(opts...)
	if err != nil {
		return nil, &cloud.Error{Kind: cloud.Access, Message: "set up the Docker client: check DOCKER_HOST", Cause: err}
	}
	return &Engine{API: api, Log: o.Log, lockDir: o.LockDir}, nil
}

// Close closes the connections to the engine.
func (e *Engine) Close() error { return e.API.Close() }

// Address is where the engine is reached.
func (e *Engine) Address() string { return e.API.DaemonHost() }

// IsLocal reports whether the engine runs on this computer, so that its paths are ours.
func (e *Engine) IsLocal() bool { return strings.HasPrefix(e.API.DaemonHost(), "unix://") }

// WrapError gives an error of the engine its kind and says what was being done.
func (e *Engine) WrapError(doing string, err error) error {
	var typed *cloud.Error
	switch {
	case errors.As(err, &typed), errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", doing, err)
	case errors.Is(err, context.DeadlineExceeded):
		return &cloud.Error{Kind: cloud.Unreachable, Cause: err, Message: fmt.Sprintf(
			"%s: the Docker engine at %s does not answer", doing, e.Address())}
	case errors.Is(err, os.ErrPermission): // the client's own message would only repeat this; the same holds below
		return &cloud.Error{Kind: cloud.Access, Message: fmt.Sprintf(
			"%s: this user may not use the Docker engine at %s: add it to the group docker, or run as root",
			doing, e.Address())}
	case client.IsErrConnectionFailed(err):
		return &cloud.Error{Kind: cloud.Unreachable, Message: fmt.Sprintf(
			"%s: no Docker engine answers at %s: start it (systemctl start docker), or set DOCKER_HOST",
			doing, e.Address())}
	}
	return &cloud.Error{Kind: errorKind(err), Message: doing, Cause: err}
}

// errorKind classifies an error that the engine itself returned. Some have no code, only words.
func errorKind(err error) cloud.ErrorKind {
	text := err.Error()
	switch {
	case strings.Contains(text, "no space left on device"),
		strings.Contains(text, "address pool"),
		strings.Contains(text, "cannot allocate memory"):
		return cloud.Capacity
	case errdefs.IsInvalidArgument(err):
		return cloud.Infeasible
	case errdefs.IsConflict(err):
		return cloud.Conflict
	}
	return cloud.Transient
}
