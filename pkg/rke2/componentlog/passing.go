package componentlog

import "strings"

// The texts by which causes are told apart, in lower case. They come from registries (the error codes of the OCI
// distribution specification and the texts of HTTP), from Go's net and crypto packages, and from RKE2
// (pkg/bootstrap/bootstrap.go, Stage) and containerd.
var (
	// limitMarks: a registry limits how much is pulled.
	limitMarks = []string{"toomanyrequests", "too many requests", "pull rate limit"}
	// finalMarks: time does not help.
	finalMarks = []string{"manifest unknown", "manifest_unknown", "name unknown", "name_unknown", "not found",
		"unauthorized", "authentication required", "denied", "forbidden", "signed by unknown authority",
		"certificate is valid for", "certificate is not valid", "http response to https client", "no space left",
		"x509:"}
	// pullMarks: it is about an image.
	pullMarks = []string{"failed to get runtime image", "failed to extract runtime image", "failed to pull",
		"all endpoints failed", "pullimage", "failed to resolve reference", "failed to copy: httpreadseeker"}
	// timeoutMarks: a peer did not answer, or not in time.
	timeoutMarks = []string{"i/o timeout", "tls handshake timeout", "deadline exceeded", "deadlineexceeded",
		"timeout exceeded", "timed out", "connection reset by peer", "unexpected eof", "temporary failure",
		"server misbehaving", "internal server error", "bad gateway", "service unavailable", "gateway timeout"}
)

// DescribePassing says in some words what a cause is if it can pass without anybody's help, such as the limit of a
// registry; "" if it cannot.
func DescribePassing(cause string) string {
	lower := strings.ToLower(cause)
	switch {
	case containsAny(lower, limitMarks):
		return "the image registry limits pulls"
	case containsAny(lower, finalMarks):
		return ""
	case containsAny(lower, pullMarks):
		return "an image cannot be pulled"
	case containsAny(lower, timeoutMarks):
		return "a request timed out"
	}
	return ""
}

// IsPullError reports whether a cause is that an image cannot be pulled.
func IsPullError(cause string) bool {
	lower := strings.ToLower(cause)
	return containsAny(lower, pullMarks) || containsAny(lower, limitMarks)
}

// The texts of registries that tell what helps, in lower case.
var (
	deniedMarks      = []string{"unauthorized", "authentication required", "denied", "forbidden"}
	certificateMarks = []string{"x509:", "signed by unknown authority", "certificate is"}
	absentMarks      = []string{"manifest unknown", "manifest_unknown", "name unknown", "name_unknown", "not found"}
)

// AdvisePull says what a person can set so that an image can be pulled.
func AdvisePull(cause string) string {
	lower := strings.ToLower(cause)
	switch {
	case containsAny(lower, limitMarks):
		return "give the registry credentials or a mirror in rke2.registries"
	case containsAny(lower, deniedMarks):
		return "give the registry credentials in rke2.registries (secret)"
	case strings.Contains(lower, "http response to https client"):
		return "give the registry a mirror with http:// in rke2.registries"
	case containsAny(lower, certificateMarks):
		return "give the registry its CA in rke2.registries (ca)"
	case containsAny(lower, absentMarks):
		return "check the version and the mirrors in rke2.registries, which lack the image"
	}
	return "give the registry a mirror that the machines reach in rke2.registries, or archives of images in rke2.images"
}

func containsAny(s string, marks []string) bool {
	for _, mark := range marks {
		if strings.Contains(s, mark) {
			return true
		}
	}
	return false
}
