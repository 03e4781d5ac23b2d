package snapshots

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/etcdsnapshot"
	"github.com/sky-shift/skyctl/pkg/rke2"
)

// progressPause is the time between two reports of progress.
const progressPause = time.Second

// snapshotContent checks the content of a snapshot while it passes: etcd's snapshots end with the SHA-256 of what is
// before it, so one pass gives the checksum of the whole file too.
type snapshotContent struct {
	ctx    context.Context //nolint:containedctx // of one copy, for its progress
	file   rke2.SnapshotFile
	hash   hash.Hash
	read   int64
	before []byte // the SHA-256 of all but the last bytes
	last   []byte // the last bytes

	reportedAt time.Time
}

func newSnapshotContent(ctx context.Context, f rke2.SnapshotFile) *snapshotContent {
	return &snapshotContent{ctx: ctx, file: f, hash: sha256.New()}
}

func (c *snapshotContent) Write(p []byte) (int, error) {
	body := c.file.Bytes - sha256.Size
	if rest := body - c.read; rest > 0 && rest <= int64(len(p)) {
		c.hash.Write(p[:rest])
		c.before = c.hash.Sum(nil)
		c.hash.Write(p[rest:])
	} else {
		c.hash.Write(p)
	}
	if tail := c.read + int64(len(p)) - body; tail > 0 {
		c.last = append(c.last, p[max(0, int64(len(p))-tail):]...)
	}
	if c.read += int64(len(p)); c.read > c.file.Bytes {
		return 0, fmt.Errorf("snapshot %s has more than the %d bytes that its server reports", c.file.Name,
			c.file.Bytes)
	}
	if now := time.Now(); now.Sub(c.reportedAt) >= progressPause {
		c.reportedAt = now
		activities.RecordHeartbeat(c.ctx, fmt.Sprintf("copied %d of %d MiB", c.read>>20, c.file.Bytes>>20))
	}
	return len(p), nil
}

// check returns an error if the content was not a whole snapshot.
func (c *snapshotContent) check() error {
	switch {
	case c.read < c.file.Bytes:
		return fmt.Errorf("snapshot %s ended after %d of %d bytes: %w", c.file.Name, c.read, c.file.Bytes,
			io.ErrUnexpectedEOF)
	case !bytes.Equal(c.before, c.last):
		return &etcdsnapshot.DamagedError{Problem: "damaged: its hash differs"}
	}
	return nil
}

// sum is the SHA-256 of the whole content.
func (c *snapshotContent) sum() string { return hex.EncodeToString(c.hash.Sum(nil)) }

const (
	// chunkBytes is the size of the pieces that a chunkPipe passes on, chunksAhead how many its writer can be ahead.
	chunkBytes  = 256 << 10
	chunksAhead = 8
)

// chunkPipe passes what one goroutine writes to another one that reads. Unlike io.Pipe, the writer can be ahead, so
// that copying and sealing do not wait for each other.
type chunkPipe struct {
	ctx    context.Context //nolint:containedctx // of one copy
	chunks chan []byte
	part   []byte // written and not passed on
	err    error  // why it ended; read after chunks is closed
	left   []byte // passed on and not read
}

func newChunkPipe(ctx context.Context) *chunkPipe {
	return &chunkPipe{ctx: ctx, chunks: make(chan []byte, chunksAhead)}
}

func (c *chunkPipe) Write(p []byte) (int, error) {
	if c.part = append(c.part, p...); len(c.part) < chunkBytes {
		return len(p), nil
	}
	return len(p), c.passOn()
}

func (c *chunkPipe) passOn() error {
	select {
	case c.chunks <- c.part:
		c.part = make([]byte, 0, chunkBytes+32<<10)
		return nil
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
}

// closeWith ends the content, with an error or nil. Only the writer may call it.
func (c *chunkPipe) closeWith(err error) {
	if err == nil && len(c.part) > 0 {
		err = c.passOn()
	}
	c.err = err
	close(c.chunks)
}

func (c *chunkPipe) Read(p []byte) (int, error) {
	for len(c.left) == 0 {
		chunk, open := <-c.chunks
		if !open {
			if c.err == nil {
				return 0, io.EOF
			}
			return 0, c.err
		}
		c.left = chunk
	}
	n := copy(p, c.left)
	c.left = c.left[n:]
	return n, nil
}
