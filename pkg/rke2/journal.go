package rke2

import (
	"strings"

	"github.com/sky-shift/skyctl/pkg/redact"
)

const (
	// longestJournal bounds the part of a journal that is read, from its end.
	longestJournal = 256 << 10
	longestLine    = 500
)

// toRedactedLines splits a log into lines and hides its secrets.
func toRedactedLines(log string) []string {
	if over := len(log) - longestJournal; over > 0 {
		_, log, _ = strings.Cut(log[over:], "\n") // a secret in a truncated line could not be recognized
	}
	out := redact.Lines(log)
	for i, l := range out {
		out[i] = truncateLine(l, longestLine)
	}
	return out
}

func truncateLine(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// logFinding is the meaning of a line of an agent's journal.
type logFinding struct {
	reason  string
	message string
	// after is the number of such lines that make it certain.
	after int
}

// supervisorPath is in every request of an agent to a supervisor that needs its token (k3s pkg/agent/config). Without
// it, an answer is that of somebody else, such as an image registry.
const supervisorPath = "/v1-rke2/"

// classifyLogLine returns the meaning of a line of an agent's journal; reason is empty if the line is not a failure.
func classifyLogLine(line string) logFinding {
	switch {
	case strings.Contains(line, "Node password rejected"), strings.Contains(line, "duplicate hostname"):
		return logFinding{DuplicateNode, "the cluster has a node with the same name and another password; delete " +
			"that Node and its node-password secret", 2}
	case strings.Contains(line, "token CA hash does not match"):
		return logFinding{WrongCA, "the head has another CA than the one that the token pins", 1}
	case strings.Contains(line, "401 Unauthorized") && strings.Contains(line, supervisorPath):
		return logFinding{WrongToken, "the head rejects the worker's token", 2}
	case strings.Contains(line, "server is not ready"), strings.Contains(line, "failed to get CA certs"),
		strings.Contains(line, "/cacerts") && strings.Contains(line, "connection refused"):
		return logFinding{"", "the head to accept the worker", 0}
	}
	return logFinding{}
}
