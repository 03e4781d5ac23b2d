package componentlog

import (
	"regexp"
	"strings"
)

// The lines of containerd about a pull, such as
//
//	level=error msg="PullImage \"docker.io/rancher/x:1\" failed" error="failed to pull and unpack image …"
//	level=info msg="PullImage \"docker.io/rancher/x:1\" returns image reference \"sha256:…\""
var (
	pullForm  = regexp.MustCompile(`PullImage \\?"([^"\\]+)\\?" (failed|returns image reference)`)
	errorForm = regexp.MustCompile(`\berror="((?:[^"\\]|\\.)*)"`)
)

// FindFailedPull returns the image whose pull failed last and was not repeated with success, and the error, from lines
// of containerd.log in order; both are empty if there is none.
func FindFailedPull(lines []string) (image, cause string) {
	for _, line := range lines {
		m := pullForm.FindStringSubmatch(line)
		switch {
		case m == nil:
		case m[2] == "failed":
			image, cause = m[1], ExtractMessage(line)
			if e := errorForm.FindStringSubmatch(line); e != nil {
				cause = unquote(`"` + e[1] + `"`)
			}
		case m[1] == image:
			image, cause = "", ""
		}
	}
	return image, rootOfPullError(cause)
}

// rootOfPullError leaves out the repetitions of the image's name at the beginning of containerd's error.
func rootOfPullError(cause string) string {
	for _, wrapper := range []string{"failed to pull and unpack image ", "failed to resolve reference "} {
		if rest, ok := strings.CutPrefix(cause, wrapper); ok {
			if _, after, ok := strings.Cut(rest, ": "); ok {
				cause = after
			}
		}
	}
	return cause
}
