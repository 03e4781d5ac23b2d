package skypilot_test

import (
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot"
	"github.com/sky-shift/skyctl/test/eventually"
	skytest "github.com/sky-shift/skyctl/test/skypilot"
)

func TestCloudRejectionsKeepKindAndWords(t *testing.T) {
	w := start(t)
	c := w.cloud(t)
	for _, test := range []struct {
		name  string
		fault skytest.Fault
		kind  cloud.ErrorKind
		words string
	}{
		{"capacity", skytest.NoCapacityFault("us-west-2", ""), cloud.Capacity, "do not have sufficient capacity"},
		{"quota", skytest.NoQuotaFault("us-west-2"), cloud.Quota, "more vCPU capacity than your current vCPU limit"},
		{"access", skytest.Fault{Cloud: "aws", Operation: "RunInstances", Region: "us-west-2",
			Code:    "UnauthorizedOperation",
			Message: "You are not authorized to perform this operation."}, cloud.Access, "not authorized to perform"},
	} {
		t.Run(test.name, func(t *testing.T) {
			fault := w.fault(t, test.fault)
			req := launchOf("refused-"+test.name, 0, onAWS("us-west-2"), newKey(t))
			ref := submit(t, c, req)
			_, err := c.AwaitLaunch(eventually.Context(t, 3*time.Minute), req, ref, said(t, req))
			if err == nil || cloud.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.words) {
				t.Errorf("%s: %v", cloud.KindOf(err), err)
			}
			if fault.CountRequests() == 0 {
				t.Error("no request met the fault")
			}
			compare(t, c, ref, test.name)
			if left := w.living(t, req.Owner.Cluster); len(left) > 0 {
				t.Errorf("AWS has %+v", left)
			}
		})
	}
}

// compare compares the server's report of a failed launch with the recording; with -update it writes the recording.
func compare(t *testing.T, c *skypilot.Cloud, id, name string) {
	t.Helper()
	for suffix, path := range map[string]string{".json": "/api/get?request_id=",
		".log": "/api/stream?format=plain&follow=false&request_id="} {
		response, err := http.Get(c.Endpoint() + path + id)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", "recorded", name+suffix)
		if flag.Lookup("update").Value.String() == "true" {
			if err := os.WriteFile(file, recordable(data), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := shape(data), shape(want); got != want {
			t.Errorf("the server now reports\n%s\nbut the recording is\n%s", got, want)
		}
	}
}

// recordable leaves out unused and variable parts: pickles, padding and the paths of the tests.
func recordable(data []byte) []byte {
	data = regexp.MustCompile(` {200,}`).ReplaceAll(data, []byte("  "))
	data = regexp.MustCompile(`"(entrypoint|request_body)":"[^"]*"`).ReplaceAll(data, []byte(`"$1":""`))
	data = regexp.MustCompile(`(\\"object\\": ?\\")[A-Za-z0-9+/=]*`).ReplaceAll(data, []byte(`$1`))
	return regexp.MustCompile(`(/[\w.-]+)+/(site-packages|skyctl-skypilot-\d+)`).ReplaceAll(data, []byte("…"))
}

// shape is what of an answer is the same each time.
func shape(data []byte) string {
	text := regexp.MustCompile(`\d{10}(\.\d+)?|\d\d-\d\d \d\d:\d\d:\d\d\.\d+|`+
		`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|PID=\d+|"pid":\d+`).ReplaceAllString(string(recordable(data)), "#")
	var lines []string
	for line := range strings.Lines(text) {
		// Whether a launch had to wait depends on what else the server did.
		if line = strings.TrimSpace(line); line != "" && !strings.Contains(line, "to be scheduled") &&
			!strings.Contains(line, "\x1b[?25") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

func TestRecordedCheckMatchesTheServer(t *testing.T) {
	c := start(t).cloud(t)
	if _, err := c.ListEnabledClouds(eventually.Context(t, 3*time.Minute)); err != nil {
		t.Fatal(err)
	}
	response, err := http.Post(c.Endpoint()+"/check", "application/json", strings.NewReader(`{"clouds":["aws","gcp"]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	id := response.Header.Get("X-Skypilot-Request-ID")
	eventually.HoldsWithin(t, 2*time.Minute, "the check has ended", func() bool {
		response, err := http.Get(c.Endpoint() + "/api/get?request_id=" + id)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	compare(t, c, id, "check")
}
