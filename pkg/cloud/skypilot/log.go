package skypilot

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

// provisionLog is what the server kept of the talk with the cloud; nothing where it can't be had.
func (c *Cloud) provisionLog(ctx context.Context, req cloud.LaunchRequest) []string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	body := provisionLogsBody{common: common{Env: user(req.Owner.Installation).env()}, ClusterName: req.Name}
	response, err := c.client.open(ctx, "/provision_logs?follow=false", body)
	if err != nil {
		return nil
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil
	}
	log := &launchLog{progress: func(string) {}}
	_ = eachLine(response.Body, log.line) // it only adorns an error
	return log.all()
}

// retriesEvery is how often the talk with the cloud is read for what SkyPilot tries again by itself.
const retriesEvery = 10 * time.Second

// retriedWords are those of SkyPilot about what AWS refuses for now. They are not in the log of the request, which is silent
// for minutes then.
var retriedWords = regexp.MustCompile(`create_instances: (\w+), retrying\.`)

// tellRetries passes on that SkyPilot tries a launch again by itself, and why, until the context ends. What the talk held before is of
// an earlier launch.
func (c *Cloud) tellRetries(ctx context.Context, req cloud.LaunchRequest, progress func(string)) {
	for known := -1; ; {
		count, why := retries(c.provisionLog(ctx, req))
		if known >= 0 && count > known {
			progress(fmt.Sprintf("%s refuses the launch for now (%s); SkyPilot asks it again", req.Placement.Cloud, why))
		}
		known = count
		if pause(ctx, c.retriesEvery) != nil {
			return
		}
	}
}

// retries counts the lines that say so, and names the reason in the last one.
func retries(lines []string) (count int, why string) {
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

func (l *launchLog) line(s string) {
	const most = 2000
	l.mu.Lock()
	l.lines = append(l.lines, s)
	if len(l.lines) > most {
		l.lines = append([]string(nil), l.lines[most/2:]...)
	}
	say := headline(s)
	fresh := say != "" && say != l.said
	if fresh {
		l.said = say
	}
	l.mu.Unlock()
	if fresh {
		l.progress(say)
	}
}

func (l *launchLog) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}

// headline is a line of SkyPilot's log as progress, or nothing.
func headline(s string) string {
	s = strings.TrimSpace(strings.TrimLeft(s, "⚙︎✓✗ "))
	switch {
	case strings.HasPrefix(s, "Waiting for 'sky.launch'"):
		return "waiting for the SkyPilot API server"
	case strings.HasPrefix(s, "Launching on "), strings.HasPrefix(s, "Launching ("):
		return strings.TrimSuffix(s, ".")
	case strings.Contains(s, "Attempt failed with"), strings.HasPrefix(s, "Failed to"):
		return short(told(s))
	case strings.HasPrefix(s, "Cluster launched"), strings.HasPrefix(s, "Instance is up"):
		return "launched"
	}
	return ""
}
