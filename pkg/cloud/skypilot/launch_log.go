package skypilot

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/client"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/failure"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/logtext"
)

// readProvisionLog is what the server kept of the talk with the cloud; nothing where it can't be had.
func (c *Cloud) readProvisionLog(ctx context.Context, req cloud.LaunchRequest) []string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	body := client.ProvisionLogsBody{RequestSettings: client.RequestSettings{Env: installationIdentity(
		req.Owner.Installation).RequestEnv()}, ClusterName: req.Name}
	response, err := c.client.Send(ctx, "/provision_logs?follow=false", body)
	if err != nil {
		return nil
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil
	}
	log := &launchLog{progress: func(string) {}}
	_ = logtext.ForEachLine(response.Body, log.addLine) // it only adorns an error
	return log.allLines()
}

// retriesPollInterval is how often the talk with the cloud is read for what SkyPilot tries again by itself.
const retriesPollInterval = 10 * time.Second

// retriedWords are those of SkyPilot about what AWS refuses for now. They are not in the log of the request, which is
// silent for minutes then.
var retriedWords = regexp.MustCompile(`create_instances: (\w+), retrying\.`)

// reportRetries passes on that SkyPilot tries a launch again by itself, and why, until the context ends. What the talk
// held before is of an earlier launch.
func (c *Cloud) reportRetries(ctx context.Context, req cloud.LaunchRequest, progress func(string)) {
	for known := -1; ; {
		count, why := countRetries(c.readProvisionLog(ctx, req))
		if known >= 0 && count > known {
			progress(fmt.Sprintf("%s refuses the launch for now (%s); SkyPilot asks it again", req.Placement.Cloud,
				why))
		}
		known = count
		if await.Pause(ctx, c.retriesEvery) != nil {
			return
		}
	}
}

// countRetries counts the lines that say so, and names the reason in the last one.
func countRetries(lines []string) (count int, why string) {
	for _, l := range lines {
		if found := retriedWords.FindStringSubmatch(l); found != nil {
			count, why = count+1, found[1]
		}
	}
	return count, why
}

// launchLog keeps the end of a log, and passes on what a person wants to hear of it.
type launchLog struct {
	progress func(string)

	mu    sync.Mutex
	lines []string
	said  string
}

func (l *launchLog) addLine(s string) {
	const most = 2000
	l.mu.Lock()
	l.lines = append(l.lines, s)
	if len(l.lines) > most {
		l.lines = append([]string(nil), l.lines[most/2:]...)
	}
	say := progressFromLine(s)
	fresh := say != "" && say != l.said
	if fresh {
		l.said = say
	}
	l.mu.Unlock()
	if fresh {
		l.progress(say)
	}
}

func (l *launchLog) allLines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}

// progressFromLine is a line of SkyPilot's log as progress, or nothing.
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
