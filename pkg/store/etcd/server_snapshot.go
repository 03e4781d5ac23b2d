package etcd

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// DatabaseSize returns the size of the etcd server's database, in bytes.
func (c *Client) DatabaseSize(ctx context.Context) (int64, error) {
	call, cancel := c.limitCall(ctx)
	defer cancel()
	status, err := c.client.Status(call, c.client.Endpoints()[0])
	if err != nil {
		return 0, c.wrapError(ctx, "reading the size of etcd", err)
	}
	return status.DbSize, nil
}

// StreamSnapshot writes etcd's whole database as of one revision, followed by its SHA-256, as etcdctl snapshot save
// does. The caller limits the time.
func (c *Client) StreamSnapshot(ctx context.Context, w io.Writer) error {
	const doing = "reading a snapshot of etcd"
	snapshot, err := c.client.Snapshot(ctx)
	if err != nil {
		return c.wrapError(ctx, doing, err)
	}
	defer func() { _ = snapshot.Close() }() // only read from
	source := &errorRecorder{Reader: snapshot}
	if _, err := io.Copy(w, source); err != nil {
		if source.err == nil { // etcd answered, and w failed
			return fmt.Errorf("writing a snapshot of etcd: %w", err)
		}
		return c.wrapError(ctx, doing, err)
	}
	return nil
}

// errorRecorder keeps the error of a Reader, so that it is not confused with that of the Writer.
type errorRecorder struct {
	io.Reader
	err error
}

func (r *errorRecorder) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}
