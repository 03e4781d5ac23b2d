package unit

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
)

// RenderLaunchd returns the text of a launchd job, see launchd.plist(5). launchd starts it when the user logs in, and
// again after a failure.
func (u Unit) RenderLaunchd() (string, error) {
	if err := u.checkValues(); err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- Written by skyctl server install. skyctl server uninstall removes it. -->
<plist version="1.0">
<dict>
`)
	fmt.Fprintf(&b, "\t<key>Label</key>\n\t<string>%s</string>\n", escapeXML(u.Label))
	fmt.Fprintf(&b, "\t<key>ProgramArguments</key>\n\t<array>\n\t\t<string>%s</string>\n\t\t<string>dev</string>\n"+
		"\t</array>\n", escapeXML(u.Skyd))
	b.WriteString("\t<key>EnvironmentVariables</key>\n\t<dict>\n")
	for _, v := range u.Variables {
		if err := checkValue("$"+v.Name, v.Value); err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "\t\t<key>%s</key>\n\t\t<string>%s</string>\n", escapeXML(v.Name), escapeXML(v.Value))
	}
	b.WriteString("\t</dict>\n")
	fmt.Fprintf(&b, "\t<key>WorkingDirectory</key>\n\t<string>%s</string>\n", escapeXML(u.StateDir))
	b.WriteString("\t<key>RunAtLoad</key>\n\t<true/>\n" +
		"\t<key>KeepAlive</key>\n\t<dict>\n\t\t<key>SuccessfulExit</key>\n\t\t<false/>\n\t</dict>\n" +
		"\t<key>AbandonProcessGroup</key>\n\t<true/>\n" + // the SkyPilot server outlives skyd
		"\t<key>ExitTimeOut</key>\n\t<integer>60</integer>\n" +
		"\t<key>Umask</key>\n\t<integer>63</integer>\n") // 0077
	for _, key := range []string{"StandardOutPath", "StandardErrorPath"} {
		fmt.Fprintf(&b, "\t<key>%s</key>\n\t<string>%s</string>\n", key, escapeXML(u.LogFile))
	}
	b.WriteString("</dict>\n</plist>\n")
	return b.String(), nil
}

func escapeXML(text string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(text)) // a buffer takes everything
	return b.String()
}
