// Package logline writes log lines in the form RKE2 uses, because programs and
// people that watch an RKE2 node's journal look for that form.
package logline

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"
)

var (
	mu  sync.Mutex
	out io.Writer = os.Stderr
)

// SetOutput sends the lines to w. Standard error is the default.
func SetOutput(w io.Writer) {
	mu.Lock()
	defer mu.Unlock()
	out = w
}

// Infof writes a line of level info.
func Infof(format string, args ...any) { writeLine("info", format, args) }

// Warnf writes a line of level warning.
func Warnf(format string, args ...any) { writeLine("warning", format, args) }

// Errorf writes a line of level error.
func Errorf(format string, args ...any) { writeLine("error", format, args) }

// Fatalf writes a line of level fatal. The caller ends the process.
func Fatalf(format string, args ...any) { writeLine("fatal", format, args) }

func writeLine(level, format string, args []any) {
	line := "time=\"" + time.Now().Format(time.RFC3339) + "\" level=" + level +
		" msg=" + strconv.Quote(fmt.Sprintf(format, args...)) + "\n"
	mu.Lock()
	defer mu.Unlock()
	_, _ = io.WriteString(out, line)
}
