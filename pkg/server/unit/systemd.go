package unit

import (
	"fmt"
	"strings"
)

// EnabledLingerLine is the line of a unit that records EnabledLinger. systemd ignores sections that begin with X-.
const EnabledLingerLine = "EnabledLinger=true"

// serviceBehaviour is what all units say about how skyd is started again and stopped.
//
// skyd exits with 0 when it is asked to stop, so systemd starts it again only after a failure. KillMode is "process",
// because the SkyPilot server and its launches outlive skyd, and OOMPolicy keeps one of their processes that runs out
// of memory from stopping skyd.
var serviceBehaviour = []string{"UMask=0077", "Restart=on-failure", "RestartSec=5s", "TimeoutStopSec=60s",
	"KillMode=process", "OOMPolicy=continue"}

// RenderSystemd returns the text of a systemd unit: of the system if it has a user, else of a user's own manager.
//
// A unit of a user cannot wait for docker.service; skyd itself waits for the engine.
func (u Unit) RenderSystemd() (string, error) {
	if err := u.checkValues(); err != nil {
		return "", err
	}
	if err := checkSystemdProgram(u.Skyd); err != nil {
		return "", err
	}
	if strings.HasSuffix(u.StateDir, `\`) {
		return "", &ValueError{What: "the state directory", Value: u.StateDir, Has: "a backslash at its end"}
	}
	lines := []string{"# Written by skyctl server install. skyctl server uninstall removes it.", "[Unit]",
		"Description=skyd, the server of skyctl (" + escapeSpecifiers(u.StateDir) + ")"}
	if u.User != "" {
		lines = append(lines, "Wants=network-online.target", "After=network-online.target docker.service",
			"RequiresMountsFor="+quoteWord(escapeSpecifiers(u.StateDir)))
	}
	lines = append(lines, "StartLimitIntervalSec=0", "", "[Service]", "Type=exec")
	if u.User != "" {
		lines = append(lines, "User="+escapeSpecifiers(u.User))
	}
	lines = append(lines,
		"EnvironmentFile="+escapeSpecifiers(u.EnvironmentFile),
		"WorkingDirectory="+escapeSpecifiers(u.StateDir),
		"ExecStart="+quoteWord(escapeSpecifiers(u.Skyd))+" dev")
	lines = append(lines, serviceBehaviour...)
	lines = append(lines, "", "[Install]")
	target := "default.target"
	if u.User != "" {
		target = "multi-user.target"
	}
	lines = append(lines, "WantedBy="+target)
	if u.EnabledLinger {
		lines = append(lines, "", "[X-Skyctl]", EnabledLingerLine)
	}
	return strings.Join(lines, "\n") + "\n", nil
}

// RenderEnvironmentFile returns variables in the form that systemd reads with EnvironmentFile=, see systemd.exec(5).
func RenderEnvironmentFile(variables []Variable) (string, error) {
	var b strings.Builder
	b.WriteString("# The environment of skyd, written by skyctl server install.\n")
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`")
	for _, v := range variables {
		if err := checkValue("$"+v.Name, v.Value); err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s=\"%s\"\n", v.Name, escape.Replace(v.Value))
	}
	return b.String(), nil
}

// escapeSpecifiers keeps systemd from expanding %h and the like.
func escapeSpecifiers(text string) string { return strings.ReplaceAll(text, "%", "%%") }

// quoteWord makes a text one word of a list.
func quoteWord(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
