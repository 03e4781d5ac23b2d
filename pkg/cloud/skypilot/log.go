package skypilot

import (
	"context"
	"net/http"
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
