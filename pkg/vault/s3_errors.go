package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/sky-shift/skyctl/pkg/redact"
)

// storageError gives an error of the storage its kind, and hides credentials. nil stays nil. It wraps nothing: errors
// of the AWS SDK repeat parts of requests.
func (s *S3) storageError(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	text := redact.Text(s.secrets.HideSecrets(describeError(err)))
	return &Error{Kind: kindOf(err), Message: fmt.Sprintf("%s in %s: %s", doing, s.place, text)}
}

// codeKinds are the codes whose meaning their HTTP status does not tell:
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList
// and https://github.com/minio/minio/blob/master/cmd/api-errors.go for storage that has limits.
var codeKinds = map[string]string{
	"InvalidToken": AccessDenied, "ExpiredToken": AccessDenied, "TokenRefreshRequired": AccessDenied,
	"RequestTimeout": Unavailable, "OperationAborted": Unavailable,
	"XMinioStorageFull": DiskFull, "XMinioAdminBucketQuotaExceeded": QuotaReached, "QuotaExceeded": QuotaReached,
}

// kindOf returns the kind of an error of the AWS SDK; empty if there is none.
func kindOf(err error) string {
	if err == nil {
		return ""
	}
	if coded := smithy.APIError(nil); errors.As(err, &coded) {
		if kind, known := codeKinds[coded.ErrorCode()]; known {
			return kind
		}
	}
	status := statusOf(err)
	switch {
	case status == http.StatusNotFound:
		return NotFound
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return AccessDenied
	case status == http.StatusInsufficientStorage:
		return DiskFull
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout:
		return Unavailable
	case status >= http.StatusMultipleChoices && status < http.StatusInternalServerError,
		status == http.StatusNotImplemented:
		return Rejected
	}
	return Unavailable
}

func statusOf(err error) int {
	if answer := new(smithyhttp.ResponseError); errors.As(err, &answer) && answer.Response != nil {
		return answer.HTTPStatusCode()
	}
	return 0
}

// describeError returns the part of an error of the AWS SDK that people need.
func describeError(err error) string {
	var coded smithy.APIError
	var sent *url.Error
	switch {
	case errors.As(err, &coded):
		text := coded.ErrorCode()
		if message := coded.ErrorMessage(); message != "" && !slices.Contains([]string{text, "UnknownError"}, message) {
			text += ": " + message
		}
		if status := statusOf(err); status != 0 {
			text += fmt.Sprintf(" (HTTP %d)", status)
		}
		return text
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return "it does not answer in time"
	case errors.As(err, &sent):
		return describeBrokenConnection(sent.Err) // without the address of the request
	}
	return describeBrokenConnection(err)
}

// describeBrokenConnection leaves out how the errors of package net are nested.
func describeBrokenConnection(err error) string {
	var of *net.OpError
	switch {
	case errors.As(err, &of) && of.Op == "dial":
		return of.Error()
	case of != nil:
		for errors.As(of.Err, &of) { //nolint:revive // finds the innermost one
		}
		return fmt.Sprintf("the connection to %v broke: %v", of.Addr, of.Err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection broke: " + err.Error()
	}
	return err.Error()
}
