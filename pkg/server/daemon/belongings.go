package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/config"
)

// belongingsTimeout bounds one run of skyd belongings: a SkyPilot server may take half a minute to stop.
const belongingsTimeout = 3 * time.Minute

// Belongings is what skyd belongings prints: what an installation has on this computer outside its state directory.
type Belongings struct {
	// Machines run on the Docker engine. They are never removed here.
	Machines []string `json:"machines,omitempty"`
	// Items are what is removed, and Kept is what stays, each in words.
	Items []string `json:"items,omitempty"`
	Kept  []string `json:"kept,omitempty"`
	// Problem says why the Docker engine could not be asked.
	Problem string `json:"problem,omitempty"`
}

// BelongingsOptions are one run of skyd belongings.
type BelongingsOptions struct {
	// Installation is empty if the installation never had an id: it then has no networks.
	Installation string
	// KeepImages names another installation of this user, which needs the host images; empty: none is known.
	KeepImages string
	Remove     bool
}

// RunBelongings has skyd list or remove what an installation has outside its state directory: skyctl has no Docker
// client.
func RunBelongings(ctx context.Context, c *config.Config, skydPath string, o BelongingsOptions) (Belongings, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, belongingsTimeout,
		fmt.Errorf("no answer after %v", belongingsTimeout))
	defer cancel()
	args := []string{"belongings", "--installation", o.Installation, "--keep-images", o.KeepImages}
	if o.Remove {
		args = append(args, "--remove")
	}
	cmd := exec.CommandContext(ctx, skydPath, args...)
	cmd.Env = append(os.Environ(), c.DevEnviron()...)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	var b Belongings
	err := cmd.Run()
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = json.Unmarshal(out.Bytes(), &b)
	}
	if text := strings.TrimSpace(stderr.String()); err != nil && text != "" {
		err = errors.Join(err, errors.New(text))
	}
	if err != nil {
		return b, fmt.Errorf("asking skyd for what is outside %s: %w", c.Dir, err)
	}
	return b, nil
}
