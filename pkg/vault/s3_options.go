package vault

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"
)

// S3Options say where the storage is, and who asks.
type S3Options struct {
	// URL is s3://BUCKET or s3://BUCKET/FOLDER. The bucket has to exist.
	URL string
	// Endpoint is the storage's address, such as https://minio.example.com:9000. If it is empty, AWS is used.
	Endpoint string
	// Region may be empty only if there is an endpoint.
	Region string
	// AccessKey and SecretKey are the credentials. SessionToken belongs to temporary ones, and is mostly empty.
	AccessKey, SecretKey, SessionToken string
}

// defaultRegion is what storage that has no regions expects.
const defaultRegion = "us-east-1"

// validBucket follows https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
var validBucket = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

func invalidSetting(format string, args ...any) error {
	return &Error{Kind: InvalidSettings, Message: fmt.Sprintf(format, args...)}
}

// check returns the bucket and the folder. Its errors quote no credentials.
func (o S3Options) check() (bucket, folder string, err error) {
	path, found := strings.CutPrefix(o.URL, "s3://")
	bucket, folder, _ = strings.Cut(path, "/")
	folder = strings.TrimSuffix(folder, "/")
	if !found || !validBucket.MatchString(bucket) || folder != "" && checkName(folder) != nil {
		return "", "", invalidSetting("the URL %q of the S3 storage is invalid: it is s3://BUCKET or "+
			"s3://BUCKET/FOLDER", o.URL)
	}
	switch {
	case o.AccessKey == "" || o.SecretKey == "":
		return "", "", invalidSetting("the S3 storage %s needs an access key and a secret key", o.URL)
	case o.Endpoint == "" && o.Region == "":
		return "", "", invalidSetting("the S3 storage %s needs a region, such as eu-central-1, or an endpoint", o.URL)
	case o.Endpoint == "":
		return bucket, folder, nil
	}
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", "", invalidSetting("the endpoint of the S3 storage %s is invalid: it is https://HOST or "+
			"https://HOST:PORT", o.URL)
	}
	return bucket, folder, nil
}

// httpClient is shared, so that a vault that is made for one call leaves no connections of its own. Certificates are
// checked against the system's authorities.
var httpClient = awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
	t.ResponseHeaderTimeout = time.Minute
})

// newClient returns a client that reads no credentials or settings from the environment.
func newClient(o S3Options) *s3.Client {
	settings := s3.Options{
		Region:      o.Region,
		Credentials: credentials.NewStaticCredentialsProvider(o.AccessKey, o.SecretKey, o.SessionToken),
		HTTPClient:  httpClient,
		Logger:      logging.Nop{},
		// The seal shows any damage. Other storage than AWS's does not know all checksums.
		RequestChecksumCalculation:                aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation:                aws.ResponseChecksumValidationWhenRequired,
		DisableLogOutputChecksumValidationSkipped: true,
	}
	if o.Endpoint != "" {
		settings.BaseEndpoint = aws.String(strings.TrimSuffix(o.Endpoint, "/"))
		settings.UsePathStyle = true // a name such as BUCKET.minio.example.com need not exist
		if o.Region == "" {
			settings.Region = defaultRegion
		}
	}
	return s3.New(settings)
}
