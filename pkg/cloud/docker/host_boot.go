package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

const (
	// bootTimeout is how long a host may take to answer if the caller has no deadline. A few seconds are usual.
	bootTimeout = 5 * time.Minute

	pollInterval = 100 * time.Millisecond
	dialTimeout  = 2 * time.Second
)

// AwaitLaunch returns once the host's SSH server answers.
func (c *Cloud) AwaitLaunch(ctx context.Context, req cloud.LaunchRequest, ref string,
	progress func(string)) (cloud.Machine, error) {
	if strings.HasPrefix(ref, pendingPrefix) {
		if err := c.EnsureImage(ctx, progress); err != nil {
			return cloud.Machine{}, fmt.Errorf("machine %s: %w", req.Name, err)
		}
		id, err := c.launchHost(ctx, req)
		if err != nil {
			return cloud.Machine{}, err
		}
		ref = id
	}
	progress("booting")
	return c.awaitHostSSH(ctx, req.Name, ref)
}

// awaitHostSSH waits until a host's SSH server answers.
func (c *Cloud) awaitHostSSH(ctx context.Context, name, id string) (cloud.Machine, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, bootTimeout)
		defer cancel()
	}
	var (
		up      cloud.Machine
		missing error // why the host is not up yet
	)
	err := await.Condition(ctx, pollInterval, func() (bool, error) {
		var err error
		up, err = c.readBootingHost(ctx, name, id)
		if err != nil {
			return false, err
		}
		missing = checkSSHBanner(ctx, up)
		return missing == nil, nil
	})
	if err != nil {
		return cloud.Machine{}, c.awaitError(ctx, name, id, missing, err)
	}
	return up, nil
}

// awaitError is the error of a wait that failed, or that ended with its context.
func (c *Cloud) awaitError(ctx context.Context, name, ref string, missing, err error) error {
	if ctx.Err() == nil {
		return err
	}
	message := "wait for machine " + name
	if missing != nil {
		message += ": " + missing.Error()
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		message += formatConsoleTail(c.engine.ReadConsoleTail(ref))
	}
	return &cloud.Error{Kind: cloud.Transient, Message: message, Cause: ctx.Err()}
}

// readBootingHost returns the machine, or an error if it cannot start any more.
func (c *Cloud) readBootingHost(ctx context.Context, name, id string) (cloud.Machine, error) {
	found, err := c.engine.ListContainers(ctx, filters.Arg("id", id))
	if err != nil {
		return cloud.Machine{}, c.engine.WrapError("look for machine "+name, err)
	}
	if len(found) == 0 {
		return cloud.Machine{}, &cloud.Error{Kind: cloud.Infeasible, Message: fmt.Sprintf(
			"machine %s: its container %.12s is gone: it was removed", name, id)}
	}
	m := machineOf(found[0])
	if m.State == cloud.StateStopped {
		return cloud.Machine{}, &cloud.Error{Kind: cloud.Infeasible, Message: fmt.Sprintf(
			"machine %s: its container %.12s is %s (%s)%s", name, id, found[0].State, found[0].Status,
			formatConsoleTail(c.engine.ReadConsoleTail(id)))}
	}
	if found[0].State == container.StateCreated {
		m.Address = ""
	}
	return m, nil
}

func formatConsoleTail(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return "; the last lines of its console:\n" + strings.Join(lines, "\n")
}

// checkSSHBanner checks that an SSH server answers at the machine's address.
func checkSSHBanner(ctx context.Context, m cloud.Machine) error {
	if m.State != cloud.StateRunning || m.Address == "" {
		return errors.New("its container is not running yet")
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	address := net.JoinHostPort(m.Address, strconv.Itoa(m.SSHPort))
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("its sshd does not answer: %w", err)
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetReadDeadline(deadline); err != nil {
			return fmt.Errorf("its sshd does not answer: %w", err)
		}
	}
	banner := make([]byte, len("SSH-"))
	if _, err := io.ReadFull(conn, banner); err != nil || string(banner) != "SSH-" {
		return fmt.Errorf("the server at %s is not an SSH server: it sent %q", address, banner)
	}
	return nil
}

// CancelLaunch does nothing: a launch takes moments, and TerminateMachine removes what it has created.
func (c *Cloud) CancelLaunch(context.Context, string) error { return nil }
