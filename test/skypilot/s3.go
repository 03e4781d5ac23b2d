package skypilot

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/test/freeport"
	"github.com/sky-shift/skyctl/test/needs"
	"github.com/sky-shift/skyctl/test/process"
)

// S3Bucket exists in every S3 from its start.
const S3Bucket = "snapshots"

// S3 is an S3 server (moto) that checks credentials, as AWS does.
type S3 struct {
	Endpoint string
	// AccessKey and SecretKey have all rights.
	AccessKey, SecretKey string
}

// StartS3 runs an S3 server on loopback until the test ends. It keeps everything in memory.
func StartS3(t testing.TB) *S3 {
	t.Helper()
	needs.SkyPilot(t) // for its virtual environment
	venv, err := EnsureVenv(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), startTimeout,
		fmt.Errorf("the S3 server is not up after %v", startTimeout))
	defer cancel()
	port := strconv.Itoa(freeport.Get(t, 1)[0])
	s := &S3{Endpoint: "http://" + net.JoinHostPort(loopback, port)}
	p, err := process.Start(process.Options{Dir: t.TempDir(), LogFile: filepath.Join(t.TempDir(), "s3.log"),
		Argv: []string{filepath.Join(venv, "bin", "python"), "-m", "moto.server", "-H", loopback, "-p", port},
		Env:  []string{"PYTHONDONTWRITEBYTECODE=1", "MOTO_PORT=" + port}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the S3 server:\n%s", p.LastLogLines())
		}
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	if err := p.AwaitHealthy(ctx, func() error {
		return getJSON(ctx, s.Endpoint+"/moto-api/data.json", nil)
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.createAccount(ctx); err != nil {
		t.Fatal(err)
	}
	return s
}

// createAccount creates the bucket and a user, and makes the server check credentials from then on.
func (s *S3) createAccount(ctx context.Context) error {
	iam := &AWS{Endpoint: s.Endpoint}
	user := url.Values{"UserName": {"vault"}}
	if err := iam.CallAPI(ctx, "iam", defaultS3Region, "CreateUser", user, nil); err != nil {
		return err
	}
	policy := url.Values{"UserName": {"vault"}, "PolicyName": {"all"}, "PolicyDocument": {
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`}}
	if err := iam.CallAPI(ctx, "iam", defaultS3Region, "PutUserPolicy", policy, nil); err != nil {
		return err
	}
	var reply struct {
		ID     string `xml:"CreateAccessKeyResult>AccessKey>AccessKeyId"`
		Secret string `xml:"CreateAccessKeyResult>AccessKey>SecretAccessKey"`
	}
	if err := iam.CallAPI(ctx, "iam", defaultS3Region, "CreateAccessKey", user, &reply); err != nil {
		return err
	}
	s.AccessKey, s.SecretKey = reply.ID, reply.Secret
	if err := s.send(ctx, http.MethodPut, "/"+S3Bucket, ""); err != nil {
		return err
	}
	return s.send(ctx, http.MethodPost, "/moto-api/reset-auth", "0")
}

const defaultS3Region = "us-east-1"

// send sends a request to the server, which is not signed.
func (s *S3) send(ctx context.Context, method, path, body string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.Endpoint+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	if path == "/"+S3Bucket { // tells moto the service
		req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=TEST/20260101/"+defaultS3Region+
			"/s3/aws4_request, SignedHeaders=host, Signature=test")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, path, resp.Status)
	}
	return nil
}
