package vault

import (
	"bytes"
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/sky-shift/skyctl/pkg/await"
)

const (
	// partBytes is the size of a part. S3 allows 10,000 parts of 5 MiB or more:
	// https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
	partBytes = 8 << 20
	// parallelParts are sent while the next one is read.
	parallelParts = 2
	// partTimeout bounds the transfer of one part, with its retries.
	partTimeout = 10 * time.Minute
	// abortPause is the time in which a part that was being sent arrives.
	abortPause = time.Second
)

// upload writes an object, which exists once finish succeeds.
type upload struct {
	s       *S3
	key     string
	buffer  []byte // what is not sent yet, less than a part
	written int64

	// id is empty as long as everything fits into one part.
	id    string
	parts []*types.CompletedPart
	group *errgroup.Group
	// ctx ends with the first part that fails.
	ctx    context.Context //nolint:containedctx // of one call
	cancel context.CancelFunc
}

// newUpload starts an upload. The caller finishes or aborts it.
func newUpload(ctx context.Context, s *S3, key string) *upload {
	u := &upload{s: s, key: key}
	ctx, u.cancel = context.WithCancel(ctx)
	u.group, u.ctx = errgroup.WithContext(ctx)
	u.group.SetLimit(parallelParts)
	return u
}

// Write implements io.Writer.
func (u *upload) Write(p []byte) (int, error) {
	for n := 0; n < len(p); {
		if u.buffer == nil {
			// Not one that was sent: net/http may read it for a moment after a request has failed.
			u.buffer = make([]byte, 0, partBytes)
		}
		some := min(len(p)-n, partBytes-len(u.buffer))
		u.buffer = append(u.buffer, p[n:n+some]...)
		n += some
		u.written += int64(some)
		if len(u.buffer) < partBytes {
			continue
		}
		if err := u.sendPart(); err != nil {
			return n, err
		}
	}
	return len(p), nil
}

// sendPart starts to send the buffer as the next part. It fails if an earlier one did.
func (u *upload) sendPart() error {
	if u.id == "" {
		ctx, cancel := context.WithTimeout(u.ctx, callTimeout)
		defer cancel()
		made, err := u.s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &u.s.bucket,
			Key: &u.key})
		if err != nil {
			return err
		}
		u.id = aws.ToString(made.UploadId)
	}
	part := &types.CompletedPart{PartNumber: aws.Int32(int32(len(u.parts) + 1))} //nolint:gosec // 10,000 at most
	u.parts = append(u.parts, part)
	content := u.buffer
	u.buffer = nil
	u.group.Go(func() error {
		ctx, cancel := context.WithTimeout(u.ctx, partTimeout)
		defer cancel()
		sent, err := u.s.client.UploadPart(ctx, &s3.UploadPartInput{Bucket: &u.s.bucket, Key: &u.key, UploadId: &u.id,
			PartNumber: part.PartNumber, Body: bytes.NewReader(content)})
		if err == nil {
			part.ETag = sent.ETag
		}
		return err
	})
	if u.ctx.Err() != nil {
		return u.group.Wait()
	}
	return nil
}

// finish makes the object. If it fails, it removes what was sent.
func (u *upload) finish(ctx context.Context) error {
	defer u.cancel()
	if u.id == "" {
		ctx, cancel := context.WithTimeout(ctx, partTimeout)
		defer cancel()
		_, err := u.s.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &u.s.bucket, Key: &u.key,
			Body: bytes.NewReader(u.buffer)})
		return err
	}
	err := u.complete(ctx)
	if err != nil {
		u.abort(ctx)
	}
	return err
}

func (u *upload) complete(ctx context.Context) error {
	if len(u.buffer) > 0 {
		if err := u.sendPart(); err != nil {
			return err
		}
	}
	if err := u.group.Wait(); err != nil {
		return err
	}
	all := make([]types.CompletedPart, len(u.parts))
	for i, part := range u.parts {
		all[i] = *part
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := u.s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: &u.s.bucket, Key: &u.key,
		UploadId: &u.id, MultipartUpload: &types.CompletedMultipartUpload{Parts: all}})
	return err
}

// abort removes what was sent, also if the context has ended. If the storage does not answer, the next Put or Delete of
// the file does it. A part that arrives meanwhile can remain, so that it asks again:
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html
func (u *upload) abort(ctx context.Context) {
	u.cancel()
	_ = u.group.Wait() // the caller has the error
	if u.id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	_ = await.Condition(ctx, abortPause, func() (bool, error) {
		if _, err := u.s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &u.s.bucket,
			Key: &u.key, UploadId: &u.id}); err != nil {
			return true, err
		}
		left, err := u.s.client.ListParts(ctx, &s3.ListPartsInput{Bucket: &u.s.bucket, Key: &u.key, UploadId: &u.id})
		return err != nil || len(left.Parts) == 0, nil // mostly NoSuchUpload
	})
}
