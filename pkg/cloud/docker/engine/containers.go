package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
)

// Units of the API, in bytes.
const (
	GiB = 1 << 30
	MiB = 1 << 20
)

// ListContainers lists the containers that match, in any state. Errors are those of the API.
func (e *Engine) ListContainers(ctx context.Context, match ...filters.KeyValuePair) ([]container.Summary, error) {
	return e.API.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(match...)})
}

// ContainerName is the name without the slash that the engine puts before it.
func ContainerName(s container.Summary) string {
	if len(s.Names) == 0 {
		return ""
	}
	return strings.TrimPrefix(s.Names[0], "/")
}

// NewLogConfig bounds the console output that the engine keeps.
func NewLogConfig() container.LogConfig {
	return container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "1m"}}
}

// DiscardContainer removes a container with its volumes, even after ctx has ended.
func (e *Engine) DiscardContainer(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := e.API.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
		e.Log.Warn("could not remove a container", "id", id, "error", err)
	}
}

// HasImage reports whether the engine has an image.
func (e *Engine) HasImage(ctx context.Context, name string) (bool, error) {
	_, err := e.API.ImageInspect(ctx, name)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, e.WrapError("look for image "+name, err)
	}
	return true, nil
}

// ReadConsoleTail returns the last lines of a container's console. It returns none if they are unavailable, because
// they only add detail to an error.
func (e *Engine) ReadConsoleTail(id string) []string {
	// The caller's context has often ended, so it is not used here.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	body, err := e.API.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: "50"})
	if err != nil {
		return nil
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, 1<<20))
	if err != nil {
		return nil
	}
	return LastTextLines(string(text))
}

// controlSequences matches terminal control sequences, and the headers of an engine's log stream.
var controlSequences = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]|\x1b[^\\[]|" +
	"[\x01\x02]\x00\x00\x00....|[\x00-\x08\x0b-\x1f\x7f]")

// LastTextLines returns the last twenty lines of a text that are not blank.
func LastTextLines(text string) []string {
	const keep = 20
	var lines []string
	for line := range bytes.Lines(controlSequences.ReplaceAll([]byte(text), nil)) {
		if s := strings.TrimSpace(string(line)); s != "" {
			lines = append(lines, s)
		}
	}
	return lines[max(0, len(lines)-keep):]
}

// ReadMessageStream reads an engine's stream of messages to its end and calls onMessage after each. It returns the
// error that a message carries.
func ReadMessageStream(body io.Reader, onMessage func()) error {
	for d := json.NewDecoder(body); ; {
		var message struct {
			Error string `json:"error"`
		}
		switch err := d.Decode(&message); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case message.Error != "":
			return errors.New(message.Error)
		}
		onMessage()
	}
}
