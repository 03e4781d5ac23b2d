// Package redact hides secrets in text that came from elsewhere (a machine, a cloud, a server) before it is kept,
// logged or shown. It knows a secret in two ways: by its value, where this process has learned it, whatever form it is
// written in; and by its shape, as a second net for those that nobody told it.
package redact

import (
	"strings"

	"github.com/sky-shift/skyctl/pkg/printable"
)

// Hidden stands where a secret stood.
const Hidden = "[hidden]"

// processSecrets are the secrets that this process has learned.
var processSecrets = NewKnownSecrets()

// LearnSecret makes the process hide a secret from now on. Owner is whose it is, a cluster's UID or "" for the
// installation's own, and is what Forget forgets it by. What is shorter than MinLength is not learned.
func LearnSecret(owner string, secret []byte) { processSecrets.LearnSecret(owner, secret) }

// ForgetOwner lets go of the secrets of an owner that is no more.
func ForgetOwner(owner string) { processSecrets.ForgetOwner(owner) }

// Text is a text without secrets and without anything that would steer a terminal; line breaks are kept.
func Text(s string) string { return hidePatterns(processSecrets.HideSecrets(printable.Text(s))) }

// Lines splits a text into its lines, without secrets, empty lines, and the blanks around each.
func Lines(s string) []string {
	var out []string
	for l := range strings.Lines(Text(s)) {
		if l = strings.TrimSpace(l); l != "" {
			out = append(out, l)
		}
	}
	return out
}

// Error is an error whose message has no secrets; what it wraps is gone with them. nil stays nil.
func Error(err error) error {
	if err == nil {
		return nil
	}
	return redactedError(Text(err.Error()))
}

type redactedError string

func (m redactedError) Error() string { return string(m) }
