package home

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
)

// MarkFile is the file on a machine with the installation and start that last managed it.
const MarkFile = "/etc/skyctl/installation"

// Mark is the content of MarkFile.
type Mark struct {
	Installation string
	Hostname     string
	// Home identifies a location without disclosing it.
	Home   string
	Starts int64
	Start  string
}

// MarkOf returns the mark of a recorded home.
func MarkOf(h api.Home) Mark {
	sum := sha256.Sum256([]byte(h.Host + "\n" + h.Hostname + "\n" + h.Dir))
	m := Mark{Installation: h.Installation, Hostname: h.Hostname, Home: hex.EncodeToString(sum[:8]), Starts: h.Starts,
		Start: h.Start}
	if h.Dir == "" {
		m.Hostname, m.Home = "", "etcd"
	}
	return m
}

func (m Mark) String() string {
	return fmt.Sprintf("installation=%s\nhostname=%s\nhome=%s\nstart=%s\nstarts=%d\n", m.Installation, m.Hostname,
		m.Home, m.Start, m.Starts)
}

// ParseMark parses a mark. It returns nil if there is no valid mark.
func ParseMark(text string) *Mark {
	m := &Mark{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		switch name {
		case "installation":
			m.Installation = value
		case "hostname":
			m.Hostname = value
		case "home":
			m.Home = value
		case "start":
			m.Start = value
		case "starts":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return nil
			}
			m.Starts = n
		}
	}
	if m.Installation == "" || m.Starts <= 0 {
		return nil
	}
	return m
}

// CompareMark returns the evidence of a machine's mark that a state is not the newest, or nil if there is none. A mark
// of another installation is no evidence: the machine can be a copy or have had another owner.
func CompareMark(recorded api.Home, machine string, seen *Mark) *api.HomeFinding {
	if seen == nil || seen.Installation != recorded.Installation {
		return nil
	}
	if seen.Starts < recorded.Starts || seen.Starts == recorded.Starts && seen.Start == recorded.Start {
		return nil
	}
	by := "from another location"
	switch {
	case seen.Home == MarkOf(recorded).Home:
		by = "from " + formatRecordedLocation(recorded) + ", in a newer state"
	case seen.Hostname != "" && seen.Hostname != recorded.Hostname:
		by = "from " + seen.Hostname
	}
	return &api.HomeFinding{
		Kind: api.HomeSeenOnMachine, Starts: seen.Starts,
		Message: fmt.Sprintf("machine %s was last managed %s (start %d; this state is at start %d)", machine, by,
			seen.Starts, recorded.Starts),
	}
}

// formatRecordedLocation formats a home's recorded location, which differs from the current one if this is a copy.
func formatRecordedLocation(h api.Home) string {
	switch {
	case h.Dir == "":
		return "this etcd"
	case h.Hostname == "":
		return h.Dir
	}
	return h.Dir + " on " + h.Hostname
}

// ExchangeMarks returns the mark on a machine, and replaces it if ours is newer or the machine has no mark of our
// installation. If ours is nil it only reads. It runs one command.
func ExchangeMarks(ctx context.Context, h *remote.Host, ours *Mark) (*Mark, error) {
	script := fmt.Sprintf("cat %s 2>/dev/null || :", MarkFile)
	if ours != nil {
		script = fmt.Sprintf(exchangeScript, MarkFile, remote.QuoteShell(ours.Installation), ours.Starts,
			remote.QuoteShell(ours.String()))
	}
	output, err := h.RunScript(ctx, "reading the installation's mark", script)
	if err != nil {
		return nil, err
	}
	return ParseMark(string(output)), nil
}

// exchangeScript prints the old mark before it writes the new one.
const exchangeScript = `set -e; f=%[1]s
was=$(cat "$f" 2>/dev/null || :)
printf '%%s\n' "$was"
if [ "$(printf '%%s\n' "$was" | sed -n 's/^installation=//p')" = %[2]s ]; then
  n=$(printf '%%s\n' "$was" | sed -n 's/^starts=\([0-9][0-9]*\)$/\1/p')
  [ "${n:-0}" -lt %[3]d ] || exit 0
fi
umask 022
mkdir -p "${f%%/*}"
t=$(mktemp "$f.XXXXXX")
trap 'rm -f "$t"' EXIT
printf '%%s' %[4]s >"$t"
chmod 0644 "$t"
mv -f "$t" "$f"`
