package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/skypilot"
)

// s3Options are those of a test's server.
func s3Options(s *skypilot.S3, folder string) S3Options {
	return S3Options{URL: "s3://" + skypilot.S3Bucket + "/" + folder, Endpoint: s.Endpoint, AccessKey: s.AccessKey,
		SecretKey: s.SecretKey}
}

func newS3(t *testing.T, o S3Options) *S3 {
	t.Helper()
	s, err := NewS3(t.Context(), o, newIdentity(t))
	must(t, err)
	s.client = s3.New(s.client.Options(), func(o *s3.Options) {
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = 10 * time.Millisecond })
	})
	return s
}

func TestS3(t *testing.T) {
	// Nothing of the environment counts.
	t.Setenv("AWS_ACCESS_KEY_ID", "other")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "other")
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	server := skypilot.StartS3(t)
	t.Run("keeps files", func(t *testing.T) { testKeeping(t, newS3(t, s3Options(server, ""))) })
	t.Run("keeps files in a folder", func(t *testing.T) { testKeeping(t, newS3(t, s3Options(server, "a/folder/"))) })
	t.Run("keeps nothing of a failed put", func(t *testing.T) {
		s := newS3(t, s3Options(server, "failed"))
		testFailingReaders(t, s)
		requireNoUploads(t, s)
	})
	t.Run("refuses wrong credentials", func(t *testing.T) { testWrongCredentials(t, s3Options(server, "denied")) })
	t.Run("refuses a missing bucket", func(t *testing.T) { testMissingBucket(t, s3Options(server, "")) })
	t.Run("finds damage", func(t *testing.T) { testDamagedObject(t, newS3(t, s3Options(server, "damaged"))) })
	t.Run("breaks off an upload", func(t *testing.T) { testBrokenUploads(t, s3Options(server, "upload")) })
	t.Run("breaks off a download", func(t *testing.T) { testBrokenDownloads(t, s3Options(server, "download")) })
	t.Run("reads no further than it sends", func(t *testing.T) { testReadAhead(t, s3Options(server, "ahead")) })
}

// requireNoUploads fails if the bucket has uploads that are not complete.
func requireNoUploads(t *testing.T, s *S3) {
	t.Helper()
	if n := countUploads(t, s); n > 0 {
		t.Errorf("%d uploads are left", n)
	}
}

func countUploads(t *testing.T, s *S3) int {
	t.Helper()
	left, err := s.client.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &s.bucket})
	must(t, err)
	return len(left.Uploads)
}

// callAll calls all methods of a vault.
func callAll(ctx context.Context, v Vault) map[string]error {
	_, put := v.Put(ctx, "a", strings.NewReader("x"))
	_, large := v.Put(ctx, "a", bytes.NewReader(makeContent(partBytes+1)))
	_, opened := v.Open(ctx, "a")
	_, listed := v.List(ctx)
	return map[string]error{"Put": put, "Put in parts": large, "Open": opened, "List": listed,
		"Delete": v.Delete(ctx, "a")}
}

func testWrongCredentials(t *testing.T, o S3Options) {
	wrongSecret, unknown := o, o
	wrongSecret.SecretKey = "wrong-secret-0123456789"
	unknown.AccessKey = "AKIAUNKNOWNUNKNOWN00"
	for _, wrong := range []S3Options{wrongSecret, unknown} {
		for action, err := range callAll(t.Context(), newS3(t, wrong)) {
			requireKind(t, err, AccessDenied)
			if text := fmt.Sprintf("%v %+v", err, err); strings.Contains(text, wrong.SecretKey) ||
				strings.Contains(text, wrong.AccessKey) ||
				!strings.Contains(text, "in "+strings.TrimSuffix(o.URL, "/")) {
				t.Errorf("%s: %s", action, text)
			}
		}
	}
}

func testMissingBucket(t *testing.T, o S3Options) {
	o.URL = "s3://missing-bucket/folder"
	for action, err := range callAll(t.Context(), newS3(t, o)) {
		requireKind(t, err, NotFound)
		if err == nil || !strings.Contains(err.Error(), "in s3://missing-bucket/folder: NoSuchBucket") {
			t.Errorf("%s: %v", action, err)
		}
	}
}

func testDamagedObject(t *testing.T, s *S3) {
	content := makeContent(3 * sealChunk)
	_, err := s.Put(t.Context(), "file", bytes.NewReader(content))
	must(t, err)
	key := s.key("file")
	object, err := s.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
	must(t, err)
	sealed, err := io.ReadAll(object.Body)
	must(t, err)
	if bytes.Contains(sealed, content[:32]) {
		t.Error("the content can be read")
	}
	changed := bytes.Clone(sealed)
	changed[len(changed)-100] ^= 1
	for name, data := range map[string][]byte{"changed": changed, "cut off": sealed[:len(sealed)-1000], "empty": {}} {
		_, err = s.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &s.bucket, Key: &key,
			Body: bytes.NewReader(data)})
		must(t, err)
		_, err = readAll(t.Context(), s, "file")
		if requireKind(t, err, Damaged); t.Failed() {
			t.Log(name)
		}
	}
}

// faultyServer passes requests on to the S3 server, or lets a test answer instead.
type faultyServer struct {
	*httptest.Server
	// meet answers a request and returns true, or returns false. answered gets the answers of others.
	meet     atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
	answered atomic.Pointer[func(*http.Response) error]
}

// newFaultyS3 returns a vault whose requests a test can break.
func newFaultyS3(t *testing.T, o S3Options) (*S3, *faultyServer) {
	t.Helper()
	to, err := url.Parse(o.Endpoint)
	must(t, err)
	f := &faultyServer{}
	quiet := log.New(io.Discard, "", 0)
	proxy := &httputil.ReverseProxy{
		ErrorLog: quiet,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host // is signed
		},
		ModifyResponse: func(r *http.Response) error {
			if answered := f.answered.Load(); answered != nil {
				return (*answered)(r)
			}
			return nil
		},
	}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if meet := f.meet.Load(); meet != nil && (*meet)(w, r) {
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	o.Endpoint = f.URL
	return newS3(t, o), f
}

func (f *faultyServer) setMeet(meet func(http.ResponseWriter, *http.Request) bool) {
	f.meet.Store(&meet)
}

func (f *faultyServer) heal() {
	f.meet.Store(nil)
	f.answered.Store(nil)
}

// cutOff reads a part of a request, and then closes the connection.
func cutOff(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.CopyN(io.Discard, r.Body, 1<<20)
	panic(http.ErrAbortHandler)
}

func testBrokenUploads(t *testing.T, o S3Options) {
	s, f := newFaultyS3(t, o)
	kept, other := makeContent(100), makeContent(2*partBytes+5)
	_, err := s.Put(t.Context(), "file", bytes.NewReader(kept))
	must(t, err)
	isPart := func(r *http.Request, n string) bool { return r.URL.Query().Get("partNumber") == n }
	isComplete := func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Query().Has("uploadId") }
	fail := func(w http.ResponseWriter, r *http.Request, status int) {
		_, _ = io.Copy(io.Discard, r.Body) // a client that still sends may not read the answer
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, "<Error><Code>Broken</Code><Message>key %s</Message></Error>", o.SecretKey)
	}
	for name, c := range map[string]struct {
		meet       func(http.ResponseWriter, *http.Request) bool
		kind, says string
		left       int
	}{
		"a part fails": {func(w http.ResponseWriter, r *http.Request) bool {
			if isPart(r, "2") {
				fail(w, r, http.StatusInternalServerError)
			}
			return isPart(r, "2")
		}, Unavailable, "Broken: key [hidden] (HTTP 500)", 0},
		"the connection breaks in a part": {func(w http.ResponseWriter, r *http.Request) bool {
			if isPart(r, "1") {
				cutOff(w, r)
			}
			return false
		}, Unavailable, "broke: ", 0}, // a client that does not send at that moment sees only the end of the connection
		"the last step fails": {func(w http.ResponseWriter, r *http.Request) bool {
			if isComplete(r) {
				fail(w, r, http.StatusServiceUnavailable)
			}
			return isComplete(r)
		}, Unavailable, "(HTTP 503)", 0},
		"the server goes away": {func(w http.ResponseWriter, r *http.Request) bool {
			if !isPart(r, "1") && r.URL.Query().Has("uploadId") {
				cutOff(w, r)
			}
			return false
		}, Unavailable, "broke: ", 1},
		"the disk of the server is full": {func(w http.ResponseWriter, r *http.Request) bool {
			if isPart(r, "3") {
				fail(w, r, http.StatusInsufficientStorage)
			}
			return isPart(r, "3")
		}, DiskFull, "(HTTP 507)", 0},
	} {
		f.setMeet(c.meet)
		_, err := s.Put(t.Context(), "file", bytes.NewReader(other))
		requireKind(t, err, c.kind)
		f.heal()
		if err == nil || strings.Contains(err.Error(), o.SecretKey) || c.says != "" &&
			!strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		got, err := readAll(t.Context(), s, "file")
		if left := countUploads(t, s); err != nil || !bytes.Equal(got, kept) || left != c.left {
			t.Errorf("%s: the older file has %d bytes (%v), %d uploads are left", name, len(got), err, left)
		}
		must(t, s.Delete(t.Context(), "fil")) // has the same beginning
		if left := countUploads(t, s); left != c.left {
			t.Errorf("%s: %d uploads of other files were aborted", name, c.left-left)
		}
		_, err = s.Put(t.Context(), "file", bytes.NewReader(kept))
		must(t, err)
		requireNoUploads(t, s)
	}
}

func testBrokenDownloads(t *testing.T, o S3Options) {
	s, f := newFaultyS3(t, o)
	const size = 4 << 20
	_, err := s.Put(t.Context(), "file", bytes.NewReader(makeContent(size)))
	must(t, err)
	stopped := make(chan struct{})
	defer close(stopped)
	for name, rest := range map[string]io.Reader{"breaks": errorReader{errors.New("gone")},
		"stalls": readerFunc(func([]byte) (int, error) { <-stopped; return 0, io.EOF })} {
		answered := func(r *http.Response) error {
			r.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, size/2), rest))
			return nil
		}
		f.answered.Store(&answered)
		s.stall = 150 * time.Millisecond
		eventually.Holds(t, "a part of the file is read", func() bool {
			s.stall *= 2 // a busy computer may take longer until the first bytes
			got, err := readAll(t.Context(), s, "file")
			requireKind(t, err, Unavailable)
			if len(got) >= size {
				t.Fatalf("%s: %d bytes were read: %v", name, len(got), err)
			}
			return len(got) > 0
		})
		f.heal()
	}
	s.stall = stallTimeout
	half, err := s.Open(t.Context(), "file")
	must(t, err)
	_, err = io.ReadFull(half, make([]byte, 1000))
	must(t, errors.Join(err, half.Close())) // the rest is not needed
	cause := errors.New("skyd stops")
	ctx, cancel := context.WithCancelCause(t.Context())
	open, err := s.Open(ctx, "file")
	must(t, err)
	cancel(cause)
	if _, err := io.Copy(io.Discard, open); !errors.Is(err, cause) {
		t.Errorf("after its context ended: %v", err)
	}
	must(t, open.Close())
}

// testReadAhead holds the bound on memory: what was read and not sent yet.
func testReadAhead(t *testing.T, o S3Options) {
	s, f := newFaultyS3(t, o)
	var sent, read, most atomic.Int64
	answered := func(r *http.Response) error {
		if r.Request.URL.Query().Has("partNumber") {
			sent.Add(partBytes)
		}
		return nil
	}
	f.answered.Store(&answered)
	content := bytes.NewReader(makeContent(10*partBytes + 1))
	_, err := s.Put(t.Context(), "file", readerFunc(func(p []byte) (int, error) {
		n, err := content.Read(p)
		most.Store(max(most.Load(), read.Add(int64(n))-sent.Load()))
		return n, err
	}))
	must(t, err)
	if limit := int64((parallelParts+1)*partBytes + 2*sealChunk); most.Load() > limit || most.Load() < partBytes {
		t.Errorf("%d bytes were read and not sent, want %d at most", most.Load(), limit)
	}
}

func TestS3OptionsAreChecked(t *testing.T) {
	good := S3Options{URL: "s3://bucket/a/folder", Endpoint: "https://minio.example.com:9000", AccessKey: "access-key",
		SecretKey: "secret-key-0123"}
	_, err := NewS3(t.Context(), good, newIdentity(t))
	must(t, err)
	for name, change := range map[string]func(*S3Options){
		"no scheme":          func(o *S3Options) { o.URL = "bucket/folder" },
		"other scheme":       func(o *S3Options) { o.URL = "https://bucket" },
		"no bucket":          func(o *S3Options) { o.URL = "s3:///folder" },
		"invalid bucket":     func(o *S3Options) { o.URL = "s3://My_Bucket" },
		"way out":            func(o *S3Options) { o.URL = "s3://bucket/../other" },
		"query":              func(o *S3Options) { o.URL = "s3://bucket/a?b" },
		"no access key":      func(o *S3Options) { o.AccessKey = "" },
		"no secret key":      func(o *S3Options) { o.SecretKey = "" },
		"no region":          func(o *S3Options) { o.Endpoint = "" },
		"endpoint is a host": func(o *S3Options) { o.Endpoint = "minio.example.com" },
		"endpoint with user": func(o *S3Options) { o.Endpoint = "https://user:secret-key-0123@minio.example.com" },
		"endpoint with path": func(o *S3Options) { o.Endpoint = "https://minio.example.com/bucket" },
		"endpoint unreadable": func(o *S3Options) {
			o.Endpoint = "https://user:secret-key-0123@minio.example.com:port\x7f"
		},
	} {
		o := good
		change(&o)
		_, err := NewS3(t.Context(), o, newIdentity(t))
		requireKind(t, err, InvalidSettings)
		if err != nil && strings.Contains(err.Error(), good.SecretKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewS3(t.Context(), good, "x"); err == nil {
		t.Error("an invalid identity was taken")
	}
}

func TestS3SendsTheSessionTokenAndHidesIt(t *testing.T) {
	o := S3Options{URL: "s3://bucket", AccessKey: "access-key", SecretKey: "secret-key-0123",
		SessionToken: "session-token-0123", Region: "eu-north-7"}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Security-Token") != o.SessionToken ||
			!strings.Contains(r.Header.Get("Authorization"), "/eu-north-7/s3/") ||
			!strings.HasPrefix(r.URL.Path, "/bucket") {
			t.Errorf("%s %s: %v", r.Method, r.URL, r.Header)
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, "<Error><Code>ExpiredToken</Code><Message>%s is too old for %s</Message></Error>",
			o.SessionToken, o.SecretKey)
	}))
	t.Cleanup(server.Close)
	o.Endpoint = server.URL
	for action, err := range callAll(t.Context(), newS3(t, o)) {
		requireKind(t, err, AccessDenied)
		if err == nil || strings.Contains(err.Error(), "0123") || !strings.Contains(err.Error(), "ExpiredToken") {
			t.Errorf("%s: %v", action, err)
		}
	}
}

func TestS3ThatIsNotThereIsUnavailable(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	for action, err := range callAll(t.Context(), newS3(t, S3Options{URL: "s3://bucket", Endpoint: server.URL,
		AccessKey: "access-key", SecretKey: "secret-key-0123"})) {
		requireKind(t, err, Unavailable)
		if err == nil || !strings.HasSuffix(err.Error(), "connection refused") {
			t.Errorf("%s: %v", action, err)
		}
	}
}
