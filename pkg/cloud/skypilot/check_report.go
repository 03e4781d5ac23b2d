package skypilot

import (
	"regexp"
	"strings"

	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/logtext"
)

// checkLine is a line of SkyPilot's report about a cloud: " AWS: enabled [compute, storage]" or " GCP: disabled". The
// lines below it, which are indented, contain the reason.
var checkLine = regexp.MustCompile(`^\W*([A-Za-z][A-Za-z0-9 ()_-]*?): (enabled|disabled)\b`)

var reasonPrefix = regexp.MustCompile(`^Reason(?: \[[^\]]*\])?:`)

// parseCheckReport reads the report of a check. For each cloud it returns why the cloud is not enabled, or empty if it
// is.
func parseCheckReport(lines []string) map[string]string {
	found := map[string]string{}
	name := ""
	for _, line := range lines {
		if m := checkLine.FindStringSubmatch(line); m != nil {
			name = strings.ToLower(m[1])
			found[name] = ""
			if m[2] == "enabled" {
				name = ""
			} else {
				found[name] = "disabled"
			}
			continue
		}
		if name == "" {
			continue
		}
		text := strings.TrimSpace(line)
		if strings.HasPrefix(text, "To enable a cloud") || strings.HasPrefix(text, "If any problems remain") ||
			strings.Contains(text, "Enabled infra") {
			name = ""
			continue
		}
		text = strings.TrimSpace(reasonPrefix.ReplaceAllString(text, ""))
		if found[name] == "disabled" {
			found[name] = text
		} else {
			found[name] += " " + text
		}
	}
	for k, v := range found {
		found[k] = logtext.Shorten(v)
	}
	return found
}
