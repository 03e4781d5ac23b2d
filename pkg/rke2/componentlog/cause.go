// Package componentlog reads what RKE2 and its components log: why they failed, and whether that can pass. It does no
// I/O.
//
// The forms of lines are those of rancher/rke2 v1.36.4 (6ce1a80), of k3s in the version of its go.mod, of the kubelet
// (klog) and of containerd.
package componentlog

import (
	"regexp"
	"strconv"
	"strings"
)

// shutdownMark starts the line with which RKE2 says why it ends itself, for example because the runtime image could not
// be pulled (k3s pkg/signals/signals.go, RequestShutdown). It logs it as an error and exits with 0.
const shutdownMark = "Shutdown request received: "

// FindCause returns the line of a unit's journal that explains best why its last run ended.
func FindCause(journal []string) string {
	cancelled := ""
	for i := len(journal) - 1; i >= 0; i-- {
		message := ExtractMessage(journal[i])
		switch {
		case strings.HasPrefix(message, shutdownMark):
			return unquote(strings.TrimPrefix(message, shutdownMark))
		case !isFatal(journal[i]):
		case strings.Contains(message, "context canceled"): // it follows from a shutdown
			cancelled = message
		case cancelled == "" || !startsRun(journal[i:]):
			return message
		}
	}
	if cancelled != "" {
		return cancelled
	}
	for i := len(journal) - 1; i >= 0; i-- {
		if strings.Contains(journal[i], "level=error") {
			return ExtractMessage(journal[i])
		}
	}
	if len(journal) > 0 {
		return ExtractMessage(journal[len(journal)-1])
	}
	return "its journal is empty"
}

func isFatal(line string) bool {
	return strings.Contains(line, "level=fatal") || strings.HasPrefix(line, "Error:") ||
		strings.HasPrefix(line, "panic:")
}

// startsRun reports whether another run of the unit started after the first of these lines.
func startsRun(journal []string) bool {
	for _, line := range journal[1:] {
		if strings.HasPrefix(ExtractMessage(line), "Starting rke2 ") {
			return true
		}
	}
	return false
}

// ExtractMessage returns the msg of a log line, or the whole line if it has none.
func ExtractMessage(line string) string {
	if m := messageForm.FindStringSubmatch(line); m != nil {
		return strings.ReplaceAll(m[1], `\"`, `"`)
	}
	return line
}

var messageForm = regexp.MustCompile(`\bmsg="((?:[^"\\]|\\.)*)"`)

// unquote returns a Go string literal as plain text, and other text as it is.
func unquote(s string) string {
	if plain, err := strconv.Unquote(s); err == nil {
		return plain
	}
	return s
}

// klogLine is the form of the kubelet's log: level, date, time, process, file and line, message.
var klogLine = regexp.MustCompile(`^[IWEF]\d{4} [\d:.]+ +\d+ [^\]]+\] (.*)`)

// FindKubeletCause returns why the kubelet ended, from the last lines of kubelet.log; "" if they do not tell. The last
// thing that a kubelet logs is the error of its command; a panic comes without the form of klog.
func FindKubeletCause(log []string) string {
	for i := len(log) - 1; i >= 0; i-- {
		line := log[i]
		m := klogLine.FindStringSubmatch(line)
		switch {
		case m != nil && (line[0] == 'F' || strings.Contains(m[1], "command failed")):
			return errorOfKlog(m[1])
		case strings.HasPrefix(line, "Error:"), strings.HasPrefix(line, "panic:"):
			return line
		}
	}
	for i := len(log) - 1; i >= 0; i-- {
		if m := klogLine.FindStringSubmatch(log[i]); m != nil && log[i][0] == 'E' {
			return errorOfKlog(m[1])
		}
	}
	if last := len(log) - 1; last >= 0 && !klogLine.MatchString(log[last]) {
		return strings.TrimSpace(log[last]) // what a wrapper or the runtime of Go wrote
	}
	return ""
}

// klogError is the error of a structured message.
var klogError = regexp.MustCompile(`\berr=("(?:[^"\\]|\\.)*")`)

// errorOfKlog returns the error in a message of klog, or the message if it has none.
func errorOfKlog(message string) string {
	if m := klogError.FindStringSubmatch(message); m != nil {
		return unquote(m[1])
	}
	return message
}
