package rke2

import (
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

var hash = strings.Repeat("0af1", 16)

func TestSecretsAreRemovedFromLogs(t *testing.T) {
	for name, tt := range map[string]struct{ log, secret, keeps string }{
		"full token":      {`msg="token K10` + hash + `::node:sesame123 given"`, "sesame123", "given"},
		"token's hash":    {`using K10` + hash + ` now`, hash, "now"},
		"bootstrap":       {`created abc123.0123456789abcdef for all`, "0123456789abcdef", "for all"},
		"key=value":       {`level=debug token=sesame123 server=https://a:9345`, "sesame123", "server=https://a:9345"},
		"yaml":            {`agent-token: "sesame 123"`, "sesame 123", "agent-token"},
		"json":            {`{"password": "sesame123", "user": "node"}`, "sesame123", `"user": "node"`},
		"flag":            {`rke2 agent --token sesame123 --server x`, "sesame123", "--server x"},
		"header":          {`Authorization: Basic bm9kZTpzZXNhbWU= sent`, "bm9kZTpzZXNhbWU=", "sent"},
		"bearer":          {`Authorization: Bearer sesame.123-456 sent`, "sesame.123-456", "sent"},
		"service account": {`jwt eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl end`, "c2lnbmF0dXJl", "end"},
		"key": {"a\n-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\nAbCd\n-----END EC PRIVATE KEY-----\nb",
			"MHcCAQEE", "b"},
		"cut key":       {"a\n-----BEGIN RSA PRIVATE KEY-----\nMHcCAQEE\nAbCd", "AbCd", "a"},
		"kubeconfig":    {"    client-key-data: c2VzYW1l\n    x: y", "c2VzYW1l", "x: y"},
		"PEM in base64": {"got LS0tLS1CRUdJTiBFQyBQUklWQVRFIEtFWQ== ok", "BFQyBQ", "ok"},
	} {
		got := strings.Join(toRedactedLines(tt.log), "\n")
		if strings.Contains(got, tt.secret) || !strings.Contains(got, tt.keeps) {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func TestLogWithoutSecretsIsUnchanged(t *testing.T) {
	for _, l := range []string{
		`time="2026-11-24T06:00:00Z" level=info msg="Running kube-apiserver --bind-address=127.0.0.1 ` +
			`--etcd-servers=https://127.0.0.1:2379"`,
		`time="2026-11-24T06:00:00Z" level=error msg="Node password rejected, duplicate hostname or contents ` +
			`of '/etc/rancher/node/password' may not match server node-passwd entry"`,
		`time="2026-11-24T06:00:00Z" level=info msg="To join node to cluster: rke2 agent -s ` +
			`https://10.0.0.2:9345 -t ${NODE_TOKEN}"`,
		`Error: failed to find token: is there a server?`,
	} {
		if got := toRedactedLines(l); len(got) != 1 || strings.Contains(l, "time=") && got[0] != l {
			t.Errorf("got %q for %q", got, l)
		}
	}
}

func TestAgentJournalLinesAreClassified(t *testing.T) {
	for line, want := range map[string]string{
		`level=error msg="Waiting to retrieve agent configuration; server is not ready: Node password rejected,` +
			` duplicate hostname or contents of '/etc/rancher/node/password' may not match server node-passwd ` +
			`entry"`: DuplicateNode,
		`level=error msg="token CA hash does not match the Cluster CA certificate hash: aa != bb"`: WrongCA,
		`level=error msg="Waiting to retrieve agent configuration; server is not ready: ` +
			`https://10.0.0.2:9345/v1-rke2/serving-kubelet.crt: 401 Unauthorized"`: WrongToken,
		`level=info msg="Waiting to retrieve agent configuration; server is not ready: 503 Service Unavailable"`: "",
		`level=error msg="failed to get CA certs: Get \"https://10.0.0.2:9345/cacerts\": dial tcp ` +
			`10.0.0.2:9345: connect: connection refused"`: "",
		`level=info msg="Starting kubelet"`: "",
		// of a registry, and of another service
		`level=error msg="failed to get runtime image r.example/rancher/rke2-runtime:v1: GET ` +
			`https://r.example/v2/rancher/rke2-runtime/manifests/v1: 401 Unauthorized"`: "",
		`level=error msg="Failed to watch: Get \"https://127.0.0.1:6443/api\": 401 Unauthorized"`: "",
	} {
		if got := classifyLogLine(line); got.reason != want {
			t.Errorf("%s: got %+v", line, got)
		}
	}
}

func TestWrongTokenNeedsTwoRejections(t *testing.T) {
	w := newUnitWatch(api.RoleWorker, nil)
	line := `server is not ready: https://10.0.0.2:9345/v1-rke2/x: 401 Unauthorized`
	if e := w.readLine(line); e != nil {
		t.Fatalf("at once: %v", e)
	}
	if e := w.readLine(line); e == nil || e.Kind != WrongToken || !e.Permanent {
		t.Errorf("got %v", e)
	}
}

func TestUnitFaultIsFoundByState(t *testing.T) {
	for state, want := range map[string]string{
		"LoadState=loaded ActiveState=activating SubState=start NRestarts=0":        "",
		"LoadState=loaded ActiveState=active SubState=running NRestarts=9":          "",
		"LoadState=loaded ActiveState=activating SubState=auto-restart NRestarts=1": "",
		"LoadState=loaded ActiveState=activating SubState=auto-restart NRestarts=2": UnitFailed,
		"LoadState=loaded ActiveState=failed Result=exit-code":                      UnitFailed,
		"LoadState=not-found ActiveState=inactive":                                  UnitFailed,
	} {
		got := ""
		if e := findUnitFault("rke2-server", ParseKeyValues(state)); e != nil {
			got = e.Kind
		}
		if got != want {
			t.Errorf("%s: got %q", state, got)
		}
	}
}

func TestStoppedUnitWithoutAStartJobFails(t *testing.T) {
	stopped := stateMark + "LoadState=loaded ActiveState=inactive SubState=dead NRestarts=0"
	w := newUnitWatch(api.RoleHead, nil)
	for i, line := range []string{stopped, stopped, stopped + " Job=17", stopped, stopped} {
		if e := w.readLine(line); e != nil {
			t.Fatalf("at line %d: %v", i, e)
		}
	}
	if e := w.readLine(stopped); e == nil || e.Kind != UnitFailed {
		t.Errorf("got %v", e)
	}
}

func TestDeadlineNamesConditionAndLastAnswer(t *testing.T) {
	var reports []string
	w := newUnitWatch(api.RoleHead, func(s string) { reports = append(reports, s) })
	for _, l := range []string{"stage=0 why=", "stage=0 why=", "stage=4 why=500 [-]etcd failed: reason withheld"} {
		if e := w.readLine(stateMark + "LoadState=loaded ActiveState=activating SubState=start " + l); e != nil {
			t.Fatal(e)
		}
	}
	if got := w.overdueMessage(); !strings.Contains(got, "the API server to be ready") ||
		!strings.Contains(got, "[-]etcd failed") {
		t.Errorf("got %s", got)
	}
	if len(reports) != 2 || !strings.Contains(reports[0], "9345") {
		t.Errorf("reported %q", reports)
	}
}

func TestJoinTokenMustPinTheCA(t *testing.T) {
	for token, good := range map[string]bool{
		"K10" + hash + "::node:x":                  true,
		"K10" + hash + "::abc123.0123456789abcdef": true,
		"K10" + hash + "::server:x":                false,
		"K10" + hash + "::":                        false,
		"K10" + hash[1:] + "::node:x":              false,
		"K10" + hash + "::node:x\ny":               false,
		"x":                                        false,
		"":                                         false,
	} {
		if err := checkJoinToken(token); (err == nil) != good {
			t.Errorf("%q: got %v", token, err)
		}
	}
}
