package rke2

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
)

// Journal returns the last lines of a role's unit, free of secrets.
func Journal(ctx context.Context, h *remote.Host, role api.Role, lines int) ([]string, error) {
	out, err := h.Script(ctx, "reading the journal of "+unitOf(role),
		fmt.Sprintf("journalctl -q --no-pager -o cat -n %d -u %s", lines, unitOf(role)))
	if err != nil {
		return nil, err
	}
	return scrub(string(out)), nil
}

const hidden = "[hidden]"

// secretForms are what must not leave the machine in a log: keys, tokens in all their forms, and the base64 in which
// kubeconfigs carry certificates and keys.
var secretForms = []struct {
	form *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)`), hidden},
	{regexp.MustCompile(`K10[0-9a-fA-F]{8,}(::[^\s"',]*)?`), hidden},
	{regexp.MustCompile(`\b[a-z0-9]{6}\.[a-z0-9]{16}\b`), hidden},
	{regexp.MustCompile(`\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*`), hidden},
	{regexp.MustCompile(`(?i)\b(bearer|basic)\s+[\w+/=.:~-]{8,}`), "$1 " + hidden},
	{regexp.MustCompile(`(?i)((?:certificate-authority|client-certificate|client-key)-data["']?\s*[:=]\s*)["']?[\w+/=]+["']?`), "$1" + hidden},
	{regexp.MustCompile(`(?i)(\b(?:[\w-]*token|password|passwd|secret)["']?\s*(?:=|:\s)\s*)(?:"[^"]+"|'[^']+'|[^\s"',]+)`), "$1" + hidden},
	{regexp.MustCompile(`(--[\w-]*token)\s+[^\s-][^\s]*`), "$1 " + hidden},
	{regexp.MustCompile(`LS0tLS1CRUdJTi[\w+/=]*`), hidden},
}

// scrub splits a log into lines and hides its secrets.
func scrub(log string) []string {
	for _, s := range secretForms {
		log = s.form.ReplaceAllString(log, s.by)
	}
	var out []string
	for l := range strings.Lines(log) {
		if l = strings.TrimSpace(l); l != "" {
			out = append(out, cut(l, 500))
		}
	}
	return out
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// said is the part of a log line that a person wants to read: its msg, if it has one.
func said(line string) string {
	if m := messageForm.FindStringSubmatch(line); m != nil {
		return strings.ReplaceAll(m[1], `\"`, `"`)
	}
	return line
}

var messageForm = regexp.MustCompile(`\bmsg="((?:[^"\\]|\\.)*)"`)

// lastWords picks the line of a log that tells best why the unit ended.
func lastWords(log []string) string {
	for i := len(log) - 1; i >= 0; i-- {
		if l := log[i]; strings.Contains(l, "level=fatal") || strings.HasPrefix(l, "Error:") || strings.HasPrefix(l, "panic:") {
			return said(l)
		}
	}
	for i := len(log) - 1; i >= 0; i-- {
		if strings.Contains(log[i], "level=error") {
			return said(log[i])
		}
	}
	if len(log) > 0 {
		return said(log[len(log)-1])
	}
	return "its journal is empty"
}

// finding is what a line of an agent's journal means.
type finding struct {
	reason  string
	message string
	// after is how many such lines it takes to be sure.
	after int
}

// classify says what a line of an agent's journal means; no reason: nothing in particular.
func classify(line string) finding {
	switch {
	case strings.Contains(line, "Node password rejected"), strings.Contains(line, "duplicate hostname"):
		return finding{DuplicateNode, "the cluster knows a node of that name with another password; delete that Node and its node-password secret", 2}
	case strings.Contains(line, "token CA hash does not match"):
		return finding{WrongCA, "the head that answers has another CA than the token was made for", 1}
	case strings.Contains(line, "401 Unauthorized"):
		return finding{WrongToken, "the head refuses the worker's token", 2}
	case strings.Contains(line, "server is not ready"), strings.Contains(line, "failed to get CA certs"), strings.Contains(line, "connection refused"):
		return finding{"", "the head to let the worker in", 0}
	}
	return finding{}
}
