package skypilot

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// Update has golden files and recordings written anew.
var Update = flag.Bool("update", false, "write golden files and recordings anew")

func requestOf(p api.Placement, spec api.ClusterSpec) cloud.LaunchRequest {
	return cloud.LaunchRequest{
		Owner: cloud.Owner{Installation: "5c3c8f4e", Cluster: "demo", ClusterUID: "0b7c1d2e"},
		Name:  "sky-demo-1", Index: 1, Incarnation: "bcdfg", Placement: p, Spec: spec,
		Labels: map[string]string{"team": "ml", "example.com/owner": "Ann.B", "skyctl-index": "9",
			"ray-cluster-name": "sky-other-0"},
	}
}

func TestATaskIsPinnedToItsPlacementAndCarriesTheLabels(t *testing.T) {
	for _, test := range []struct {
		golden string
		p      api.Placement
		spec   api.ClusterSpec
	}{
		{"aws", api.Placement{Cloud: "aws", Region: "us-east-1", InstanceType: "c6i.large"},
			api.ClusterSpec{CPUs: "2+", Ports: []string{"8080"}, DiskSize: 200}},
		{"spot", api.Placement{Cloud: "aws", Region: "us-east-1", Zone: "us-east-1a", InstanceType: "p4d.24xlarge"},
			api.ClusterSpec{Accelerators: "A100:8", UseSpot: true, MaxHourlyCost: 12.5, ImageID: "ami-1"}},
		{"gcp", api.Placement{Cloud: "gcp", Region: "us-central1", Zone: "us-central1-a",
			InstanceType: "n2-standard-4"}, api.ClusterSpec{Ports: []string{"30000-30100"}}},
	} {
		t.Run(test.golden, func(t *testing.T) {
			got, err := renderTask(requestOf(test.p, test.spec), 0)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("testdata", "task-"+test.golden+".yaml"), got)
			if labels := parseTaskLabels(got); labels[cloud.LabelIncarnation] != "bcdfg" ||
				labels[cloud.LabelIndex] != "1" || labels["team"] != "ml" || labels["ray-cluster-name"] != "" {
				t.Errorf("labels read back: %v", labels)
			}
		})
	}
}

func TestALabelThatACloudDoesNotTakeIsLeftOut(t *testing.T) {
	for _, test := range []struct {
		key, value string
		at         []string // the clouds that get it
	}{
		{"team", "ml", []string{"aws", "gcp"}},
		{"empty", "", []string{"aws", "gcp"}},
		{"example.com/Owner", "Ann", []string{"aws"}},
		{"team", "ML.Ops", []string{"aws"}},
		{"a" + strings.Repeat("b", 130), "long", nil},
		{"1team", "x", nil},
		{"yes", "x", nil}, // which YAML reads as a truth
		{"aws.amazon.com/x", "x", nil},
		{"skypilot-user", "x", nil},
		{"Name", "x", nil},
		{cloud.LabelInstallation, "somebody-elses", nil},
	} {
		for _, at := range []string{"aws", "gcp"} {
			if got := isAllowedLabel(at, test.key, test.value); got != slices.Contains(test.at, at) {
				t.Errorf("%s=%s on %s: %t", test.key, test.value, at, got)
			}
		}
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *Update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s", path, got)
	}
}

func TestAMachineHasNoCredentialsAndNoRights(t *testing.T) {
	for _, at := range []string{"aws", "gcp", "lambda"} {
		config := newConfigOverride(requestOf(api.Placement{Cloud: at}, api.ClusterSpec{}), noProfile)
		for _, name := range []string{"aws", "gcp", "azure", "oci", "nebius"} {
			want := "NO_UPLOAD"
			if at == "aws" && name == "aws" {
				want = noProfile
			}
			if got := config[name].(map[string]any)["remote_identity"]; got != want {
				t.Errorf("on %s the identity for %s is %v, want %s", at, name, got, want)
			}
		}
	}
	config := newConfigOverride(requestOf(api.Placement{Cloud: "aws"}, api.ClusterSpec{}), noProfile)
	if got := config["aws"].(map[string]any)["security_group_name"]; got != "skyctl-0b7c1d2e" {
		t.Errorf("group %v", got)
	}
	if !bytes.Contains(leanPlugin, []byte("NO_PROFILE = '"+noProfile+"'")) {
		t.Error("the plugin does not know the name that stands for no profile")
	}
}

// What a real server said; TestWhatACloudRefuses… compares these recordings with one.
func TestRecordedFailuresAreToldByKind(t *testing.T) {
	for name, want := range map[string]struct {
		kind  cloud.ErrorKind
		words string
	}{
		"capacity": {cloud.Capacity, "An error occurred (InsufficientInstanceCapacity)"},
		"quota":    {cloud.Quota, "An error occurred (VcpuLimitExceeded)"},
		"access":   {cloud.Access, "An error occurred (UnauthorizedOperation)"},
	} {
		t.Run(name, func(t *testing.T) {
			failed, log := recorded(t, name)
			kind, why := classifyFailure(failed, log)
			if kind != want.kind || !strings.HasPrefix(why, want.words) || strings.Contains(why, "\x1b") {
				t.Errorf("%s: %s", kind, why)
			}
		})
	}
}

func recorded(t *testing.T, name string) (*failedRequest, []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "recorded", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var p struct{ Detail requestResult }
	if err := json.Unmarshal(data, &p); err != nil {
		t.Fatal(err)
	}
	failed, ok := p.Detail.decodeInto(nil).(*failedRequest)
	if !ok {
		t.Fatalf("%s is not a failed request", name)
	}
	stream, err := os.ReadFile(filepath.Join("testdata", "recorded", name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	log := &launchLog{progress: func(string) {}}
	if err := forEachLine(bytes.NewReader(stream), log.addLine); err != nil {
		t.Fatal(err)
	}
	return failed, log.allLines()
}

// Messages as the clouds document them; there is no account to hear them from.
func TestDocumentedFailuresAreToldByKind(t *testing.T) {
	const none = "Failed to provision all possible launchable resources."
	for _, test := range []struct {
		typ, message, log string
		kind              cloud.ErrorKind
	}{
		{"ResourcesUnavailableError", none, "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS: The zone does not have " +
			"enough resources available to fulfill the request.", cloud.Capacity},
		{"ResourcesUnavailableError", none, "Quota 'CPUS' exceeded.  Limit: 24.0 in region us-central1.", cloud.Quota},
		{"ResourcesUnavailableError", none, "Code: SERVICE_DISABLED Compute Engine API has not been used in project",
			cloud.Access},
		{"ResourcesUnavailableError", none, "(SkuNotAvailable) The requested VM size is currently not available in " +
			"location", cloud.Capacity},
		{"ResourcesUnavailableError", none, "(QuotaExceeded) Operation could not be completed as it results in " +
			"exceeding approved Total Regional Cores quota", cloud.Quota},
		{"ResourcesUnavailableError", none, "(AuthorizationFailed) The client does not have authorization to " +
			"perform action", cloud.Access},
		{"ResourcesUnavailableError", none, "An error occurred (RequestLimitExceeded) when calling the RunInstances " +
			"operation", cloud.Transient},
		{"ResourcesUnavailableError", none, "something that nobody has heard of", cloud.Capacity},
		{"ResourcesUnavailableError", "Catalog does not contain any instances satisfying the request: 1x AWS(cpus=3).",
			"", cloud.Infeasible},
		{"ResourcesUnavailableError", "Task requires gcp which is not enabled.", "", cloud.Access},
		{"NoCloudAccessError", "Cloud access is not set up.", "", cloud.Access},
		{"ResourcesMismatchError", "Requested resources do not match the existing cluster.", "", cloud.Infeasible},
		{"RequestInterruptedError", "Request was interrupted by an API server restart", "", cloud.Transient},
		{"ValueError", "Invalid region 'xx'", "", cloud.Infeasible},
		{"RuntimeError", "rsync is required", "", cloud.Infeasible},
		{"OSError", "no space left on device", "", cloud.Transient},
	} {
		kind, why := classifyFailure(&failedRequest{Type: test.typ, Message: test.message},
			[]string{test.log, "⨯ Failed to provision resources."})
		if kind != test.kind || why == "" {
			t.Errorf("%s %q %q: %s (%s), want %s", test.typ, test.message, test.log, kind, why, test.kind)
		}
	}
}

func TestServersOfOtherVersionsAreToldWhatToDo(t *testing.T) {
	for _, test := range []struct {
		name, health string
		kind         cloud.ErrorKind
		words        string
	}{
		{"the pinned one", `{"status":"healthy","api_version":"62","version":"0.14.1"}`, "", ""},
		{"the oldest", `{"status":"healthy","api_version":"56","version":"0.13.0"}`, "", ""},
		{"the next", `{"status":"healthy","api_version":"75","version":"0.15.0"}`, "", ""},
		{"a development version", `{"status":"healthy","api_version":"62","version":"1.0.0-dev0"}`, "", ""},
		{"too old", `{"status":"healthy","api_version":"30","version":"0.11.2"}`, cloud.Infeasible, "too old"},
		{"too new", `{"status":"healthy","api_version":"99","version":"0.16.0"}`, cloud.Infeasible, "too new"},
		{"one that wants a token", `{"status":"needs_auth","api_version":"62","version":"0.14.1"}`, cloud.Access,
			EnvToken},
		{"something else", `{"status":"ok"}`, cloud.Infeasible, "does not introduce itself"},
		{"a web page", `<html>`, cloud.Infeasible, EnvEndpoint},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-SkyPilot-API-Version") != "62" || r.Header.Get("X-SkyPilot-Version") != Version {
					t.Errorf("headers %v", r.Header)
				}
				_, _ = w.Write([]byte(test.health))
			}))
			defer s.Close()
			err := newServerClient(s.URL, "").agreeOnVersion(t.Context())
			if test.kind == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || cloud.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.words) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAServerThatRefusesOurVersionOrUsSaysSo(t *testing.T) {
	for _, test := range []struct {
		code  int
		body  string
		kind  cloud.ErrorKind
		words string
	}{
		{400, `{"error":"version_mismatch","message":"Your SkyPilot client version is too old: 0.14.1"}`,
			cloud.Infeasible, "too new: it is 0.16.2"},
		{401, `{"detail":"Authentication required"}`, cloud.Access, EnvToken},
		{403, `{"detail":"no"}`, cloud.Access, EnvToken},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer sky_secret" {
				t.Errorf("headers %v", r.Header)
			}
			w.Header().Set("X-SkyPilot-Version", "0.16.2")
			w.WriteHeader(test.code)
			_, _ = w.Write([]byte(test.body))
		}))
		t.Cleanup(s.Close)
		_, err := newServerClient(s.URL, "sky_secret").submitRequest(t.Context(), "/launch", requestSettings{})
		if err == nil || cloud.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.words) ||
			strings.Contains(err.Error(), "sky_secret") {
			t.Errorf("%d: %v", test.code, err)
		}
	}
}

func TestWhereNoServerListensACreateHearsAtOnceWhatToDo(t *testing.T) {
	for _, endpoint := range []string{"http://127.0.0.1:1", "http://no-such-host.invalid:46580"} {
		c, err := New(Options{Dir: t.TempDir(), Endpoint: endpoint})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		_, err = c.RankPlacements(t.Context(), api.ClusterSpec{Cloud: "aws"})
		if cloud.KindOf(err) != cloud.Unreachable || !strings.Contains(err.Error(), endpoint) ||
			!strings.Contains(err.Error(), EnvEndpoint) {
			t.Errorf("%s: %v", cloud.KindOf(err), err)
		}
		if spent := time.Since(begin); spent > 10*time.Second {
			t.Errorf("it took %v to say so", spent)
		}
	}
}

func TestALocalServerThatCannotStartIsNotWaitedFor(t *testing.T) {
	c, err := New(Options{Dir: t.TempDir(), Port: 1, Python: "/bin/false"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.RankPlacements(t.Context(), api.ClusterSpec{Cloud: "aws"}); cloud.KindOf(err) != cloud.Unreachable ||
		!strings.Contains(err.Error(), "server.log") {
		t.Errorf("%s: %v", cloud.KindOf(err), err)
	}
}

func TestAServerThatIsReachedAndGivesNoAnswerIsAskedAgainLater(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := newServerClient(s.URL, "").callServer(ctx, "/api/health", nil,
		nil); cloud.KindOf(err) != cloud.Transient {
		t.Errorf("%s: %v", cloud.KindOf(err), err)
	}
}

func TestAnAnswerThatIsCutOffIsAskedForAgain(t *testing.T) {
	tries := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		tries++
		if tries < 3 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = w.Write([]byte(`{"status":"SUCCEEDED","return_value":"[\"aws\"]","error":"null"}`))
	}))
	defer s.Close()
	var names []string
	if err := newServerClient(s.URL, "").awaitResult(t.Context(), "id", &names); err != nil ||
		!slices.Equal(names, []string{"aws"}) {
		t.Errorf("%v, %v", names, err)
	}
}

func TestHeadsGoFirst(t *testing.T) {
	q := newLaunchQueue()
	done, err := q.awaitTurn(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	turn := make(chan string, 3)
	come := func(name string, head bool) {
		before := func() int { q.mu.Lock(); defer q.mu.Unlock(); return len(q.waiting) }
		n := before()
		go func() {
			done, err := q.awaitTurn(context.Background(), head)
			if err != nil {
				t.Error(err)
				return
			}
			turn <- name
			done()
		}()
		for give := time.Now().Add(10 * time.Second); before() == n; {
			if time.Now().After(give) {
				t.Fatal("nobody came to wait")
			}
			time.Sleep(time.Millisecond) // between two looks
		}
	}
	come("first worker", false)
	come("second worker", false)
	come("head", true)
	done()
	for range 3 {
		order = append(order, <-turn)
	}
	if want := []string{"head", "first worker", "second worker"}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
}

func TestWhoeverStopsWaitingForATurnHoldsNobodyUp(t *testing.T) {
	q := newLaunchQueue()
	done, err := q.awaitTurn(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.awaitTurn(ctx, true); err == nil {
		t.Error("a turn beside another's")
	}
	done()
	done, err = q.awaitTurn(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	done()
}

func TestACheckSaysWhyACloudIsNotEnabled(t *testing.T) {
	data, err := os.ReadFile("testdata/recorded/check.log")
	if err != nil {
		t.Fatal(err)
	}
	log := &launchLog{progress: func(string) {}}
	if err := forEachLine(bytes.NewReader(data), log.addLine); err != nil {
		t.Fatal(err)
	}
	got := parseCheckReport(log.allLines())
	if why, ok := got["aws"]; !ok || why != "" {
		t.Errorf("aws is enabled, and the check says %q", why)
	}
	if why := got["gcp"]; !strings.HasPrefix(why, "GCP tools are not installed") || strings.Contains(why, "Enabled") {
		t.Errorf("gcp: %q", why)
	}
}

func TestOnlyTheEndOfALogIsKept(t *testing.T) {
	var said []string
	log := &launchLog{progress: func(s string) { said = append(said, s) }}
	for range 5000 {
		log.addLine("⚙︎ Launching on AWS us-east-1 (us-east-1a).")
	}
	log.addLine("Cluster launched: sky-demo-0.")
	if n := len(log.allLines()); n > 2001 {
		t.Errorf("%d lines are kept", n)
	}
	if want := []string{"Launching on AWS us-east-1 (us-east-1a)", "launched"}; !slices.Equal(said, want) {
		t.Errorf("progress %q, want %q", said, want)
	}
}
