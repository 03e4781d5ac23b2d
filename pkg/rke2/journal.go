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

// ReadJournal returns the last lines of a role's unit, without secrets.
func ReadJournal(ctx context.Context, h *remote.Host, role api.Role, lines int) ([]string, error) {
	out, err := h.RunScript(ctx, "reading the journal of "+unitName(role),
		fmt.Sprintf("journalctl -q --no-pager -o cat -n %d -u %s", lines, unitName(role)))
	if err != nil {
		return nil, err
	}
	return toRedactedLines(string(out)), nil
}

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

// extractLogMessage returns the msg of a log line, or the whole line if it has none.
func extractLogMessage(line string) string {
	if m := messageForm.FindStringSubmatch(line); m != nil {
		return strings.ReplaceAll(m[1], `\"`, `"`)
	}
	return line
}

var messageForm = regexp.MustCompile(`\bmsg="((?:[^"\\]|\\.)*)"`)

// lastErrorMessage returns the line of a log that explains best why the unit failed.
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

// logFinding is the meaning of a line of an agent's journal.
type logFinding struct {
	reason  string
	message string
	// after is the number of such lines that make it certain.
	after int
}

// classifyLogLine returns the meaning of a line of an agent's journal; reason is empty if the line is not a failure.
func classifyLogLine(line string) logFinding {
	switch {
	case strings.Contains(line, "Node password rejected"), strings.Contains(line, "duplicate hostname"):
		return logFinding{DuplicateNode, "the cluster has a node with the same name and another password; delete " +
			"that Node and its node-password secret", 2}
	case strings.Contains(line, "token CA hash does not match"):
		return logFinding{WrongCA, "the head has another CA than the one that the token pins", 1}
	case strings.Contains(line, "401 Unauthorized"):
		return logFinding{WrongToken, "the head rejects the worker's token", 2}
	case strings.Contains(line, "server is not ready"), strings.Contains(line, "failed to get CA certs"),
		strings.Contains(line, "connection refused"):
		return logFinding{"", "the head to accept the worker", 0}
	}
	return logFinding{}
}
