package vault

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sky-shift/skyctl/pkg/redact"
)

const (
	// callTimeout bounds a request without content, with its retries.
	callTimeout = 2 * time.Minute
	// stallTimeout bounds the wait for the next bytes of a download.
	stallTimeout = time.Minute
)

// S3 is a vault in a folder of a bucket of S3-compatible storage.
type S3 struct {
	client         *s3.Client
	bucket, folder string
	place          string // s3://BUCKET/FOLDER
	identity       *age.X25519Identity
	secrets        *redact.KnownSecrets
	stall          time.Duration
}

var _ Vault = (*S3)(nil)

// NewS3 returns a vault in S3-compatible storage. It checks the options, and connects to nobody.
func NewS3(_ context.Context, o S3Options, identity string) (*S3, error) {
	key, err := parseIdentity(identity)
	if err != nil {
		return nil, err
	}
	bucket, folder, err := o.check()
	if err != nil {
		return nil, err
	}
	s := &S3{client: newClient(o), bucket: bucket, folder: folder, identity: key, place: "s3://" + bucket,
		secrets: redact.NewKnownSecrets(), stall: stallTimeout}
	if folder != "" {
		s.place += "/" + folder
	}
	for _, secret := range []string{o.AccessKey, o.SecretKey, o.SessionToken} {
		s.secrets.LearnSecret("", []byte(secret))
	}
	return s, nil
}

// key is the key of the object that holds a file.
func (s *S3) key(name string) string {
	if s.folder == "" {
		return name
	}
	return s.folder + "/" + name
}

// Put implements Vault. It keeps no more than three parts of the file in memory. If the storage does not answer at the
// very end, it may have kept the file nevertheless.
func (s *S3) Put(ctx context.Context, name string, r io.Reader) (int64, error) {
	if err := checkName(name); err != nil {
		return 0, err
	}
	doing := "keeping " + name
	if err := s.abortUploads(ctx, s.key(name)); err != nil {
		return 0, s.storageError(ctx, doing, err)
	}
	u := newUpload(ctx, s, s.key(name))
	err := seal(ctx, u, s.identity, r)
	if err == nil {
		err = u.finish(ctx)
	} else {
		u.abort(ctx)
	}
	if source := new(readError); errors.As(err, &source) {
		return 0, source
	}
	if err != nil {
		return 0, s.storageError(ctx, doing, err)
	}
	return u.written, nil
}

// abortUploads ends the uploads of an object that a killed process has left: they cost money, and no list of objects
// shows them. Nothing else uploads an object of this name. Credentials without the right to list uploads suffice
// otherwise, and storage without this list.
func (s *S3) abortUploads(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	pages := s3.NewListMultipartUploadsPaginator(s.client, &s3.ListMultipartUploadsInput{Bucket: &s.bucket,
		Prefix: &key})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if kind := kindOf(err); kind == AccessDenied || kind == Rejected {
			return nil
		} else if err != nil {
			return err
		}
		for _, u := range page.Uploads {
			if aws.ToString(u.Key) != key { // another one that starts so
				continue
			}
			if _, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.bucket, Key: &key,
				UploadId: u.UploadId}); err != nil && kindOf(err) != NotFound {
				return err
			}
		}
	}
	return nil
}

// Open implements Vault.
func (s *S3) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	d := &download{s: s, parent: ctx, doing: "reading " + name}
	// The time limit starts anew with each read.
	ctx, d.cancel = context.WithCancel(ctx)
	d.timer = time.AfterFunc(callTimeout, d.cancel)
	key := s.key(name)
	object, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
	if err != nil {
		d.cancel()
		return nil, s.storageError(d.parent, d.doing, err)
	}
	d.timer.Stop()
	d.body = object.Body
	return openSealed(d, s.identity, name)
}

// download is the content of an object.
type download struct {
	s      *S3
	parent context.Context //nolint:containedctx // a reader of one call
	doing  string
	cancel context.CancelFunc
	timer  *time.Timer
	body   io.ReadCloser
}

func (d *download) Read(p []byte) (int, error) {
	d.timer.Reset(d.s.stall)
	n, err := d.body.Read(p)
	d.timer.Stop()
	if err != nil && err != io.EOF { //nolint:errorlint // a wrapped io.EOF is a failure
		err = d.s.storageError(d.parent, d.doing, err)
	}
	return n, err
}

func (d *download) Close() error {
	d.timer.Stop()
	d.cancel() // the rest of an object that is not read to its end is not transferred
	_ = d.body.Close()
	return nil
}

// Delete implements Vault.
func (s *S3) Delete(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	key := s.key(name)
	err := s.abortUploads(ctx, key)
	if err == nil {
		limited, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		_, err = s.client.DeleteObject(limited, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: &key})
	}
	return s.storageError(ctx, "deleting "+name, err)
}

// List implements Vault.
func (s *S3) List(ctx context.Context) ([]Entry, error) {
	var all []Entry
	prefix := s.key("")
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		limited, cancel := context.WithTimeout(ctx, callTimeout)
		page, err := pages.NextPage(limited)
		cancel()
		if err != nil {
			return nil, s.storageError(ctx, "listing the files", err)
		}
		for _, object := range page.Contents {
			name := strings.TrimPrefix(aws.ToString(object.Key), prefix)
			if checkName(name) == nil {
				all = append(all, Entry{Name: name, Bytes: aws.ToInt64(object.Size)})
			}
		}
	}
	slices.SortFunc(all, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}
