package gpukit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Variables that tests set through the charts' own values: driver.env, toolkit.env, devicePlugin.env, gfd.env,
// validator.env.
const (
	// slowVariable delays the start of a part by this many seconds.
	slowVariable = "SKYCTL_TEST_SLOW_SECONDS"
	// crashVariable names the node on which a part crashes, or is "*"; crashLineVariable is the line that it prints.
	crashVariable     = "SKYCTL_TEST_CRASH_NODE"
	crashLineVariable = "SKYCTL_TEST_CRASH_LINE"
	// restartVariable makes the toolkit restart RKE2 once, if it is "true".
	restartVariable = "SKYCTL_TEST_RESTART_RKE2"
)

const defaultCrashLine = "Error: a crash of this part was requested on this node"

// applyDelay waits for the delay that is requested for a part.
func applyDelay(ctx context.Context, dir, part string) error {
	told := os.Getenv(slowVariable)
	if onHost, err := os.ReadFile(filepath.Join(dir, "slow-"+part)); err == nil {
		told = strings.TrimSpace(string(onHost))
	}
	seconds, err := strconv.Atoi(told)
	if err != nil || seconds <= 0 {
		return nil
	}
	fmt.Printf("waiting %d s, as requested\n", seconds)
	select {
	case <-time.After(time.Duration(seconds) * time.Second):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errRequestedCrash ends a part for which a crash is requested.
var errRequestedCrash = errors.New("crash requested")

// crashIfRequested prints the requested line and returns errRequestedCrash if a crash is requested for the part.
func crashIfRequested(out io.Writer, dir, part string) error {
	line := ""
	if told, err := os.ReadFile(filepath.Join(dir, "crash-"+part)); err == nil {
		line = strings.TrimSpace(string(told))
	} else if node := os.Getenv(crashVariable); node == "" || node != "*" && node != os.Getenv("NODE_NAME") {
		return nil
	}
	if line == "" {
		line = os.Getenv(crashLineVariable)
	}
	if line == "" {
		line = defaultCrashLine
	}
	fmt.Fprintln(out, line)
	return errRequestedCrash
}

// pollUntil polls at the interval until done, an error, or the end of ctx.
func pollUntil(ctx context.Context, interval time.Duration, done func() (bool, error)) error {
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-time.After(interval):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func fileExists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// IsRequestedCrash reports whether a part ended in a requested crash; it has already printed its line.
func IsRequestedCrash(err error) bool { return errors.Is(err, errRequestedCrash) }
