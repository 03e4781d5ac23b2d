package componentlog

import (
	"regexp"
	"strings"
)

// EndForm is an extended regular expression for the last lines of a component that ended by itself
// (k8s.io/component-base cli.Run; etcd 3.6 server/etcdmain/etcd.go), in the form of a container's log.
const EndForm = `^[^ ]+ (stdout|stderr) F (Error: |panic: |F[0-9]{4} |E[0-9]{4} .*"command failed"|` +
	`\{"level":"(fatal|panic)"|\{.*"failed to verify flags")`

// ComponentEnd is why a component ended.
type ComponentEnd struct {
	// Cause is the error of its command; "" if the line does not tell.
	Cause string
	// RefusesArguments: no other run with the same arguments ends otherwise.
	RefusesArguments bool
}

// containerPrefix is what a container runtime writes before each line: the time, the stream, and F for a whole line.
var containerPrefix = regexp.MustCompile(`^\S+ (stdout|stderr) [FP] `)

// JudgeEnd tells from the last line of a container's log why the component ended.
func JudgeEnd(line string) ComponentEnd {
	line = containerPrefix.ReplaceAllString(line, "")
	cause := causeOfEtcd(line)
	if cause == "" {
		cause = strings.TrimPrefix(FindKubeletCause([]string{line}), "Error: ")
	}
	return ComponentEnd{Cause: cause, RefusesArguments: IsArgumentError(cause)}
}

// etcdMessage and etcdError are fields of etcd's JSON lines. A regular expression reads lines that were cut too.
var (
	etcdMessage = regexp.MustCompile(`"msg":("(?:[^"\\]|\\.)*")`)
	etcdError   = regexp.MustCompile(`"error":("(?:[^"\\]|\\.)*")`)
)

func causeOfEtcd(line string) string {
	m := etcdMessage.FindStringSubmatch(line)
	if !strings.HasPrefix(line, "{") || m == nil {
		return ""
	}
	cause := unquote(m[1])
	if e := etcdError.FindStringSubmatch(line); e != nil {
		cause += ": " + unquote(e[1])
	}
	return cause
}

// argumentError matches what a component says of its command line: the errors of spf13/pflag, those of etcd, and those
// of Kubernetes' options, which begin with the name of the flag.
var argumentError = regexp.MustCompile(`unknown (shorthand )?flag: |flag needs an argument: |bad flag syntax: |` +
	`invalid argument ".*" for ".*--.*" flag|failed to verify flags|unknown command "|^\[?--[a-z][a-z0-9-]+ `)

// IsArgumentError reports whether the cause of an end is an argument on the command line.
func IsArgumentError(cause string) bool {
	return argumentError.MatchString(strings.TrimPrefix(cause, "Error: "))
}
