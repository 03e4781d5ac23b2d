package rke2

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/remote"
)

// ReadJournal returns the last lines of a role's unit, free of secrets.
func ReadJournal(ctx context.Context, h *remote.Host, role api.Role, lines int) ([]string, error) {
	out, err := h.RunScript(ctx, "reading the journal of "+unitName(role),
		fmt.Sprintf("journalctl -q --no-pager -o cat -n %d -u %s", lines, unitName(role)))
	if err != nil {
		return nil, err
	}
	return toRedactedLines(string(out)), nil
}

const (
	// longestJournal bounds what is read of a journal, from its end.
	longestJournal = 256 << 10
	longestLine    = 500
)

// toRedactedLines splits a log into lines and hides its secrets.
func toRedactedLines(log string) []string {
	if over := len(log) - longestJournal; over > 0 {
		_, log, _ = strings.Cut(log[over:], "\n") // of a line that is cut, a secret might not be known
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

// extractLogMessage is the part of a log line that a person wants to read: its msg, if it has one.
func extractLogMessage(line string) string {
	if m := messageForm.FindStringSubmatch(line); m != nil {
		return strings.ReplaceAll(m[1], `\"`, `"`)
	}
	return line
}

var messageForm = regexp.MustCompile(`\bmsg="((?:[^"\\]|\\.)*)"`)

// lastErrorMessage picks the line of a log that tells best why the unit ended.
func lastErrorMessage(log []string) string {
	for i := len(log) - 1; i >= 0; i-- {
		if l := log[i]; strings.Contains(l, "level=fatal") || strings.HasPrefix(l, "Error:") ||
			strings.HasPrefix(l, "panic:") {
			return extractLogMessage(l)
		}
	}
	for i := len(log) - 1; i >= 0; i-- {
		if strings.Contains(log[i], "level=error") {
			return extractLogMessage(log[i])
		}
	}
	if len(log) > 0 {
		return extractLogMessage(log[len(log)-1])
	}
	return "its journal is empty"
}

// logFinding is what a line of an agent's journal means.
type logFinding struct {
	reason  string
	message string
	// after is how many such lines it takes to be sure.
	after int
}

// classifyLogLine says what a line of an agent's journal means; no reason: nothing in particular.
func classifyLogLine(line string) logFinding {
	switch {
	case strings.Contains(line, "Node password rejected"), strings.Contains(line, "duplicate hostname"):
		return logFinding{DuplicateNode, "the cluster knows a node of that name with another password; delete that " +
			"Node and its node-password secret", 2}
	case strings.Contains(line, "token CA hash does not match"):
		return logFinding{WrongCA, "the head that answers has another CA than the token was made for", 1}
	case strings.Contains(line, "401 Unauthorized"):
		return logFinding{WrongToken, "the head refuses the worker's token", 2}
	case strings.Contains(line, "server is not ready"), strings.Contains(line, "failed to get CA certs"),
		strings.Contains(line, "connection refused"):
		return logFinding{"", "the head to let the worker in", 0}
	}
	return logFinding{}
}
