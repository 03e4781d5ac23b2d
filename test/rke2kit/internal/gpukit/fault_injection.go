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
	// slowVariable is how many seconds a part takes before it goes on.
	slowVariable = "SKYCTL_TEST_SLOW_SECONDS"
	// crashVariable names the node on which a part crashes, or is "*"; crashLineVariable is what it says then.
	crashVariable     = "SKYCTL_TEST_CRASH_NODE"
	crashLineVariable = "SKYCTL_TEST_CRASH_LINE"
	// restartVariable has the toolkit restart RKE2 once, if it is "true".
	restartVariable = "SKYCTL_TEST_RESTART_RKE2"
)

const defaultCrashLine = "Error: this part was told to crash on this node"

// applyDelay lets the time pass that a part was told to take.
func applyDelay(ctx context.Context, dir, part string) error {
	told := os.Getenv(slowVariable)
	if onHost, err := os.ReadFile(filepath.Join(dir, "slow-"+part)); err == nil {
		told = strings.TrimSpace(string(onHost))
	}
	seconds, err := strconv.Atoi(told)
	if err != nil || seconds <= 0 {
		return nil
	}
	fmt.Printf("taking %d s, as told\n", seconds)
	select {
	case <-time.After(time.Duration(seconds) * time.Second):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errRequestedCrash is the end of a part that was told to crash.
var errRequestedCrash = errors.New("told to crash")

// crashIfRequested says what a part was told to say, and is its end.
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

// pollUntil looks each time the interval is over until done, an error, or the end of ctx.
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

// IsRequestedCrash says that a part ended because it was told to; it has said its line.
func IsRequestedCrash(err error) bool { return errors.Is(err, errRequestedCrash) }
