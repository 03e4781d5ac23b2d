// Package unit renders the files that make a computer run skyd from boot on: systemd units with their environment
// file, and launchd property lists. Pure.
package unit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"

	"github.com/sky-shift/skyctl/pkg/lazyregexp"
)

// Unit says which skyd a service manager runs, and how.
type Unit struct {
	// Skyd is the path of the program, and StateDir its state directory. Both are absolute.
	Skyd, StateDir string
	// User runs a unit of the whole system; it is empty for a unit of a user's own service manager.
	User string
	// EnvironmentFile holds the variables of a systemd unit.
	EnvironmentFile string
	// EnabledLinger is recorded in a user's unit: the user's services start at boot since its installation.
	EnabledLinger bool
	// Label is the name of a launchd job, LogFile the file that it writes to, and Variables its environment.
	Label, LogFile string
	Variables      []Variable
}

// Variable is a variable of the environment.
type Variable struct{ Name, Value string }

// ValueError says that a value cannot be written into a unit.
type ValueError struct {
	// What is the value, as a person knows it, and Has what is wrong with it.
	What, Value, Has string
}

func (e *ValueError) Error() string {
	return fmt.Sprintf("%s is %q: it has %s, which a service cannot be given: choose another one", e.What, e.Value,
		e.Has)
}

// Reason is a word for programs.
func (e *ValueError) Reason() string { return "InvalidServiceValue" }

// checkValue rejects a value that would begin another line.
func checkValue(what, value string) error {
	if strings.ContainsFunc(value, unicode.IsControl) {
		return &ValueError{What: what, Value: value, Has: "a line break or another control character"}
	}
	return nil
}

func (u Unit) checkValues() error {
	for _, v := range []Variable{{"the path of skyd", u.Skyd}, {"the state directory", u.StateDir},
		{"the user", u.User},
		{"the environment file", u.EnvironmentFile}, {"the label", u.Label}, {"the log file", u.LogFile}} {
		if err := checkValue(v.Name, v.Value); err != nil {
			return err
		}
	}
	return nil
}

// plainName matches what service managers take in the name of a unit without escapes.
var plainName = lazyregexp.New(`^[A-Za-z0-9_.-]+$`)

// FormatName returns the name of the unit of a state directory, without a suffix: skyd for the user's default
// directory, and another one for each other directory. Units of the system have their user in the name.
func FormatName(stateDir, defaultDir, user string) string {
	name := "skyd"
	if user != "" {
		if !plainName.MatchString(user) {
			user = shortHash(user)
		}
		name += "-" + user
	}
	if stateDir != defaultDir {
		name += "-" + shortHash(stateDir)
	}
	return name
}

func shortHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:4])
}
