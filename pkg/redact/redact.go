// Package redact hides secrets in text from outside (a machine, a cloud, a server) before it is stored, logged or
// shown. It finds a secret by its value in any encoding, if this process has learned it, and otherwise by its shape.
package redact

import (
	"strings"

	"github.com/sky-shift/skyctl/pkg/printable"
)

// Hidden replaces a secret.
const Hidden = "[hidden]"

// processSecrets are the secrets that this process has learned.
var processSecrets = NewKnownSecrets()

// LearnSecret makes the process hide a secret from now on. owner is a cluster's UID, or "" for the installation's own
// secrets; ForgetOwner uses it. Secrets shorter than MinLength are ignored.
func LearnSecret(owner string, secret []byte) { processSecrets.LearnSecret(owner, secret) }

// ForgetOwner removes the secrets of an owner that no longer exists.
func ForgetOwner(owner string) { processSecrets.ForgetOwner(owner) }

// Text returns a text without secrets and terminal control sequences. It keeps line breaks.
func Text(s string) string { return hidePatterns(processSecrets.HideSecrets(printable.Text(s))) }

// Lines splits a text into trimmed lines, without secrets and empty lines.
func Lines(s string) []string {
	var out []string
	for l := range strings.Lines(Text(s)) {
		if l = strings.TrimSpace(l); l != "" {
			out = append(out, l)
		}
	}
	return out
}

// Error returns an error whose message has no secrets and which wraps no other error. nil stays nil.
func Error(err error) error {
	if err == nil {
		return nil
	}
	return redactedError(Text(err.Error()))
}

type redactedError string

func (m redactedError) Error() string { return string(m) }
