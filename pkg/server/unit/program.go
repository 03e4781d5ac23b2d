package unit

import (
	"errors"
	"strings"

	"github.com/sky-shift/skyctl/pkg/lazyregexp"
)

// The lines that name the program, as RenderSystemd and RenderLaunchd write them.
var (
	systemdProgram = lazyregexp.New(`(?m)^ExecStart="(.*)" dev$`)
	launchdProgram = lazyregexp.New(`(?m)(<key>ProgramArguments</key>\n\t<array>\n\t\t<string>)(.*)(</string>)$`)
)

// ErrNoProgram is the error of ReplaceProgram for a definition that skyctl did not write.
var ErrNoProgram = errors.New("the definition of the service does not run skyd as skyctl server install writes it")

// ReplaceProgram makes the definition of a service run another skyd. The rest stays.
func ReplaceProgram(definition, skyd string) (string, error) {
	if err := checkValue("the path of skyd", skyd); err != nil {
		return "", err
	}
	if at := systemdProgram.Compiled().FindStringSubmatchIndex(definition); at != nil {
		if err := checkSystemdProgram(skyd); err != nil {
			return "", err
		}
		return definition[:at[2]] + escapeSpecifiers(skyd) + definition[at[3]:], nil
	}
	if at := launchdProgram.Compiled().FindStringSubmatchIndex(definition); at != nil {
		return definition[:at[4]] + escapeXML(skyd) + definition[at[5]:], nil
	}
	return "", ErrNoProgram
}

// checkSystemdProgram rejects the path of a program that systemd refuses, however it is quoted.
func checkSystemdProgram(skyd string) error {
	if strings.ContainsAny(skyd, `'"\`) {
		return &ValueError{What: "the path of skyd", Value: skyd, Has: "a quote or a backslash"}
	}
	return nil
}
