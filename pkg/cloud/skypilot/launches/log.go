package launches

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/failure"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/logtext"
)

// Log keeps the end of a launch's log, and reports the lines that a person wants to read as progress.
type Log struct {
	logtext.LastLines
	report func(string)

	mu       sync.Mutex
	reported string
}

// NewLog returns an empty log.
func NewLog(report func(string)) *Log { return &Log{report: report} }

// AddLine adds a line of the log.
func (l *Log) AddLine(line string) {
	l.Add(line)
	progress := progressFromLine(line)
	l.mu.Lock()
	isNew := progress != "" && progress != l.reported
	if isNew {
		l.reported = progress
	}
	l.mu.Unlock()
	if isNew {
		l.report(progress)
	}
}

// progressFromLine is a line of SkyPilot's log as progress, or empty.
func progressFromLine(s string) string {
	s = strings.TrimSpace(strings.TrimLeft(s, "⚙︎✓✗ "))
	switch {
	case strings.HasPrefix(s, "Waiting for 'sky.launch'"):
		return "waiting for the SkyPilot API server"
	case strings.HasPrefix(s, "Launching on "), strings.HasPrefix(s, "Launching ("):
		return strings.TrimSuffix(s, ".")
	case strings.Contains(s, "Attempt failed with"), strings.HasPrefix(s, "Failed to"):
		return logtext.Shorten(failure.TrimLogPrefix(s))
	case strings.HasPrefix(s, "Cluster launched"), strings.HasPrefix(s, "Instance is up"):
		return "launched"
	}
	return ""
}

// retriedWords are SkyPilot's words for a call that AWS rejects for now. They are in the provision log, not in the log
// of the request, which is then silent for minutes.
var retriedWords = regexp.MustCompile(`create_instances: (\w+), retrying\.`)

// ReportRetries reports that SkyPilot itself retries a launch on a cloud, and why, until the context ends. It reads the
// provision log at each interval. What the log contains at first is from an earlier launch.
func ReportRetries(ctx context.Context, interval time.Duration, cloudName string,
	readLog func(context.Context) []string,
	report func(string)) {
	for known := -1; ; {
		count, why := countRetries(readLog(ctx))
		if known >= 0 && count > known {
			report(fmt.Sprintf("%s rejects the launch for now (%s); SkyPilot retries it", cloudName, why))
		}
		known = count
		if await.Pause(ctx, interval) != nil {
			return
		}
	}
}

// countRetries counts the retries in a provision log, and returns the reason of the last one.
func countRetries(lines []string) (count int, why string) {
	for _, l := range lines {
		if found := retriedWords.FindStringSubmatch(l); found != nil {
			count, why = count+1, found[1]
		}
	}
	return count, why
}
