package componentlog

import (
	"regexp"
	"testing"
)

func TestEndOfAComponentNamesItsCause(t *testing.T) {
	const prefix = "2026-11-29T04:00:00.000000001Z stderr F "
	for _, tt := range []struct {
		line, cause string
		refuses     bool
	}{
		{"Error: unknown flag: --bogus-flag", "unknown flag: --bogus-flag", true},
		{`Error: invalid argument "maybe" for "--profiling" flag: strconv.ParseBool: parsing "maybe": invalid syntax`,
			`invalid argument "maybe" for "--profiling" flag: strconv.ParseBool: parsing "maybe": invalid syntax`,
			true},
		{`E1129 04:00:02.000001       1 run.go:72] "command failed" err="[--etcd-servers must be specified, x]"`,
			"[--etcd-servers must be specified, x]", true},
		{`E1129 04:00:02.000001       1 run.go:72] "command failed" err="failed to read /x: no such file"`,
			"failed to read /x: no such file", false},
		{`F1129 04:00:02.000001       1 instance.go:226] Error creating leases: error creating storage factory: ` +
			`context deadline exceeded`, "Error creating leases: error creating storage factory: context deadline " +
			"exceeded",
			false},
		{`{"level":"warn","ts":"2026","caller":"etcdmain/etcd.go:66","msg":"failed to verify flags","error":"a \"b\""}`,
			`failed to verify flags: a "b"`, true},
		{`{"level":"fatal","ts":"2026","msg":"discovery failed","error":"no member"}`, "discovery failed: no member",
			false},
		{"panic: runtime error", "panic: runtime error", false},
	} {
		if got := JudgeEnd(prefix + tt.line); got.Cause != tt.cause || got.RefusesArguments != tt.refuses {
			t.Errorf("%s: got %+v", tt.line, got)
		}
		if !regexp.MustCompile(EndForm).MatchString(prefix + tt.line) {
			t.Errorf("%s does not end a run", tt.line)
		}
	}
	for _, line := range []string{`I1129 04:00:02.000001       1 server.go:1] "Started"`,
		`E1129 04:00:02.000001       1 authentication.go:74] "Unable to authenticate" err="x"`,
		`{"level":"warn","msg":"slow fdatasync"}`} {
		if regexp.MustCompile(EndForm).MatchString(prefix + line) {
			t.Errorf("%s ends a run", line)
		}
	}
}
