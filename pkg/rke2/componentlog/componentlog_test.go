package componentlog

import (
	"strings"
	"testing"
)

const (
	runtimeLimit = `time="2026-11-24T06:00:00Z" level=error msg="Shutdown request received: \"failed to get runtime ` +
		`image index.docker.io/rancher/rke2-runtime:v1.36.4-rke2r1: GET https://index.docker.io/v2/rancher/` +
		`rke2-runtime/manifests/v1.36.4-rke2r1: TOOMANYREQUESTS: You have ` +
		`reached your unauthenticated pull rate limit.\""`
	runtimeTimeout = `time="2024-06-17T06:00:00Z" level=fatal msg="failed to get runtime image ` +
		`index.docker.io/rancher/rke2-runtime:v1.23.9-rke2r1: all endpoints failed: Get ` +
		`\"https://auth.docker.io/token\": dial tcp: i/o timeout"`
)

func TestCauseIsTheLineThatExplainsTheEnd(t *testing.T) {
	for _, tt := range []struct {
		name string
		log  []string
		want string
	}{
		{"fatal after an odd error", []string{`level=error msg="odd"`,
			`time="x" level=fatal msg="starting kubernetes: token \"x\" is wrong"`,
			"rke2-server.service: Main process exited"}, `starting kubernetes: token "x" is wrong`},
		{"error of the command line", []string{"Error: --server is required", "rke2-agent.service: Failed"},
			"Error: --server is required"},
		{"error", []string{`level=error msg="bind: address already in use"`, "rke2-server.service: Failed"},
			"bind: address already in use"},
		{"any line", []string{"exec format error"}, "exec format error"},
		{"none", nil, "its journal is empty"},
		{"shutdown", []string{`level=fatal msg="of an earlier run"`, `level=info msg="Starting rke2 agent v1"`,
			runtimeLimit, `level=error msg="Failed to watch: context canceled"`,
			`level=fatal msg="Error: context canceled"`},
			"failed to get runtime image index.docker.io/rancher/rke2-runtime:v1.36.4-rke2r1: GET " +
				"https://index.docker.io/v2/rancher/rke2-runtime/manifests/v1.36.4-rke2r1: TOOMANYREQUESTS: You have " +
				"reached your unauthenticated pull rate limit."},
		{"cancelled in a run of its own", []string{`level=fatal msg="of an earlier run"`,
			`level=info msg="Starting rke2 agent v1"`, `level=fatal msg="Error: context canceled"`},
			"Error: context canceled"},
	} {
		if got := FindCause(tt.log); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestCausesThatPassAreToldFromThoseThatDoNot(t *testing.T) {
	const (
		limit   = "the image registry limits pulls"
		pull    = "an image cannot be pulled"
		timeout = "a request timed out"
	)
	for cause, want := range map[string]string{
		FindCause([]string{runtimeLimit}):   limit,
		FindCause([]string{runtimeTimeout}): pull,
		"failed to copy: httpReadSeeker: failed open: unexpected status code https://registry-1.docker.io/v2/x: 429 " +
			"Too Many Requests - Server message: toomanyrequests: You have reached your pull rate limit": limit,
		"failed to get runtime image x: all endpoints failed: Get \"https://index.docker.io/v2/\": read tcp " +
			"10.0.0.1:55774->44.205.64.79:443: read: connection reset by peer": pull,
		"failed to get runtime image x: GET https://index.docker.io/v2/x: 503 Service Unavailable":            pull,
		"failed to get runtime image x: dial tcp: lookup index.docker.io: no such host":                       pull,
		"failed to extract runtime image: unexpected EOF":                                                     pull,
		"starting kubernetes: preparing server: Get \"https://10.0.0.1\": context deadline exceeded":          timeout,
		"failed to get runtime image x: GET https://index.docker.io/v2/x: MANIFEST_UNKNOWN: manifest unknown": "",
		"failed to get runtime image x: GET https://r.example/v2/x: UNAUTHORIZED: authentication required":    "",
		"failed to get runtime image x: Get \"https://r/v2/\": x509: certificate signed by unknown authority": "",
		"failed to get runtime image x: http: server gave HTTP response to HTTPS client":                      "",
		"failed to extract runtime image: write /var/lib/rancher/rke2/data/x: no space left on device":        "",
		"listen tcp :9345: bind: address already in use":                                                      "",
		"chmod /var/lib/rancher/rke2/data/v1.22.6-rke2r1-e6c1/bin: no such file or directory":                 "",
		"its journal is empty": "",
	} {
		if got := DescribePassing(cause); got != want {
			t.Errorf("%s: got %q, want %q", cause, got, want)
		}
	}
}

func TestAdviceOnAPullFitsItsCause(t *testing.T) {
	for cause, want := range map[string]string{
		"429 Too Many Requests": "credentials or a mirror",
		"pull access denied, repository does not exist or may require authorization":           "credentials in",
		"x509: certificate signed by unknown authority":                                        "its CA",
		"http: server gave HTTP response to HTTPS client":                                      "http://",
		"docker.io/rancher/x:v9: not found":                                                    "lack the image",
		"dial tcp: lookup registry-1.docker.io: no such host":                                  "a mirror that",
		"failed to do request: Head \"https://r.example/v2/\": dial tcp 10.0.0.1: i/o timeout": "rke2.images",
	} {
		if got := AdvisePull(cause); !strings.Contains(got, want) || !strings.Contains(got, "rke2.") {
			t.Errorf("%s: got %q", cause, got)
		}
	}
}

func TestKubeletCauseIsTheErrorOfItsCommand(t *testing.T) {
	for _, tt := range []struct {
		name string
		log  []string
		want string
	}{
		{"cgroups", []string{
			`I1129 04:00:00.000001    1234 server.go:212] "Kubelet version" kubeletVersion="v1.36.4+rke2r1"`,
			`E1129 04:00:01.000001    1234 server.go:10] "Unable to read the configuration" err="odd"`,
			`E1129 04:00:02.000001    1234 run.go:72] "command failed" err="failed to run Kubelet: kubelet is ` +
				`configured to not run on a host using cgroup v1. See \"cgroup v2\""`,
			`I1129 04:00:03.000001    1240 server.go:212] "Kubelet version" kubeletVersion="v1.36.4+rke2r1"`},
			`failed to run Kubelet: kubelet is configured to not run on a host using cgroup v1. See "cgroup v2"`},
		{"fatal", []string{`F1129 04:00:00.000001    1234 server.go:198] failed to load config`},
			"failed to load config"},
		{"flag", []string{"Error: unknown flag: --nope", "Usage:", "  kubelet [flags]"}, "Error: unknown flag: --nope"},
		{"panic", []string{"panic: runtime error: index out of range", "", "goroutine 1 [running]:"},
			"panic: runtime error: index out of range"},
		{"error only", []string{`E1129 04:00:00.000001       1 kubelet.go:1] "Failed to start cAdvisor" err="no disk"`,
			`I1129 04:00:00.000001       1 server.go:1] "Adding pod"`}, "no disk"},
		{"another form", []string{`I1129 04:00:00.000001       1 server.go:1] "Adding pod"`, "exec format error"},
			"exec format error"},
		{"nothing", []string{`I1129 04:00:00.000001       1 server.go:1] "Adding pod"`}, ""},
	} {
		if got := FindKubeletCause(tt.log); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestFailedPullIsTheLastOneWithoutSuccess(t *testing.T) {
	failed := func(image, why string) string {
		return `time="2022-10-28T02:08:48Z" level=error msg="PullImage \"` + image + `\" failed" error="failed to ` +
			`pull and unpack image \"` + image + `\": ` + why + `"`
	}
	done := func(image string) string {
		return `time="2022-10-28T02:09:48Z" level=info msg="PullImage \"` + image +
			`\" returns image reference \"sha256:1\""`
	}
	for _, tt := range []struct {
		name         string
		log          []string
		image, cause string
	}{
		{"none", []string{`level=info msg="PullImage \"a\""`, done("a")}, "", ""},
		{"failed", []string{failed("a", "429 Too Many Requests")}, "a", "429 Too Many Requests"},
		{"then pulled", []string{failed("a", "x"), done("a")}, "", ""},
		{"another one pulled", []string{failed("a", "x"), done("b")}, "a", "x"},
		{"unresolved", []string{failed("a", `failed to resolve reference \"a\": failed to do request: i/o timeout`)},
			"a",
			"failed to do request: i/o timeout"},
	} {
		if image, cause := FindFailedPull(tt.log); image != tt.image || cause != tt.cause {
			t.Errorf("%s: got %q, %q", tt.name, image, cause)
		}
	}
}
