package access

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sky-shift/skyctl/pkg/lazyregexp"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/remote"
)

// LogQuery says which lines of a machine's log are wanted.
type LogQuery struct {
	// Unit is one of LogUnits, or the name of a systemd unit.
	Unit string
	// Since is the age of the oldest line; 0 is the beginning.
	Since time.Duration
	// Lines bounds the existing lines, from the end; 0: all.
	Lines int
	// Follow waits for further lines until the context ends.
	Follow bool
}

// LogUnits are the logs with a name of their own, and what they are.
var LogUnits = []LogUnit{
	{"rke2", "RKE2's journal (the default)"},
	{"kubelet", "the kubelet's log"},
	{"containerd", "containerd's log"},
	{"cloud-init", "what cloud-init printed at the first start"},
	{"system", "the machine's whole journal"},
}

// LogUnit is a log of a machine that has a name.
type LogUnit struct{ Name, About string }

// logFiles are the logs that are files; the others are journals. Those of RKE2 are at the paths of its documentation.
var logFiles = map[string]string{
	"kubelet":    "/var/lib/rancher/rke2/agent/logs/kubelet.log",
	"containerd": "/var/lib/rancher/rke2/agent/containerd/containerd.log",
	"cloud-init": "/var/log/cloud-init-output.log",
}

// unitName matches names of systemd units (systemd.unit(5)).
var unitName = lazyregexp.New(`^[A-Za-z0-9:_.@\\][A-Za-z0-9:_.@\\-]{0,254}$`)

// Check returns why a query is invalid; field is the part that is.
func (q LogQuery) Check() (field, want string) {
	switch {
	case !unitName.MatchString(q.Unit):
		return "unit", "rke2, kubelet, containerd, cloud-init, system, or the name of a systemd unit, such as ssh"
	case q.Unit == "cloud-init" && q.Since > 0:
		return "since", "--tail instead: cloud-init's log has no times"
	}
	return "", ""
}

// buildScript returns the script that prints a log. That of a file with a time begins with a line of two times, in the
// forms of klog and of containerd, as the machine's clock has them.
func (q LogQuery) buildScript() string {
	if file, ok := logFiles[q.Unit]; ok {
		return q.buildFileScript(file)
	}
	words := []string{"exec journalctl --no-pager --quiet -o short-iso"}
	switch q.Unit {
	case "rke2":
		words = append(words, "-u rke2-server -u rke2-agent")
	case "system":
	default:
		words = append(words, "-u "+remote.QuoteShell(q.Unit))
	}
	if q.Lines > 0 {
		words = append(words, fmt.Sprintf("-n %d", q.Lines))
	} else {
		words = append(words, "-n all")
	}
	if q.Since > 0 {
		words = append(words, fmt.Sprintf("--since=-%ds", int(q.Since.Seconds())))
	}
	if q.Follow {
		words = append(words, "-f")
	}
	return strings.Join(words, " ")
}

func (q LogQuery) buildFileScript(file string) string {
	script := fmt.Sprintf("[ -e %[1]s ] || { echo 'it has no %[1]s' >&2; exit 1; }\n", file)
	if q.Since > 0 {
		script += fmt.Sprintf("t=$(($(date +%%s) - %d)); "+
			"echo \"$(date -d @$t '+%%m%%d %%H:%%M:%%S')|$(date -u -d @$t +%%Y-%%m-%%dT%%H:%%M:%%S)\"\n",
			int(q.Since.Seconds()))
	}
	lines := "+1"
	if q.Lines > 0 {
		lines = fmt.Sprint(q.Lines)
	}
	follow := ""
	if q.Follow {
		follow = " -F"
	}
	return script + fmt.Sprintf("exec tail -n %s%s %s", lines, follow, file)
}

// timeFilter drops the lines of a log before a time. Lines without a time belong to the one before.
type timeFilter struct {
	klog, iso string // the times; empty before the first line
	open      bool
}

var (
	klogTime = lazyregexp.New(`^[IWEF](\d{4} \d\d:\d\d:\d\d)`)
	isoTime  = lazyregexp.New(`^(?:time=")?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)`)
)

// passesLine reports whether a line is wanted. The first line sets the times.
func (f *timeFilter) passesLine(line string) bool {
	if f.iso == "" {
		f.klog, f.iso, _ = strings.Cut(line, "|")
		return false
	}
	if m := klogTime.FindStringSubmatch(line); m != nil {
		f.open = isSinceInYear(m[1], f.klog)
	} else if m := isoTime.FindStringSubmatch(line); m != nil {
		f.open = m[1] >= f.iso
	}
	return f.open
}

// isSinceInYear compares times without a year, "MMDD hh:mm:ss". A time that seems to be more than half a year away is
// of the year before or after.
func isSinceInYear(at, since string) bool {
	month := func(s string) int { return int(s[0]-'0')*10 + int(s[1]-'0') }
	switch diff := month(at) - month(since); {
	case diff > 6:
		return false
	case diff < -6:
		return true
	}
	return at >= since
}

// WriteLog writes the lines of a machine's log to each, without secrets.
func (q LogQuery) WriteLog(ctx context.Context, h *remote.Host, each func(line string)) error {
	filter := &timeFilter{}
	_, isFile := logFiles[q.Unit]
	err := h.FollowScript(ctx, "reading the log of "+q.Unit, q.buildScript(), func(line string) {
		if isFile && q.Since > 0 && !filter.passesLine(line) {
			return
		}
		each(redact.Text(line))
	})
	return err
}

// WriteLogs writes the logs of several machines as they arrive, each line with the name of its machine if prefix is
// set. It returns the error of each machine that failed.
func (q LogQuery) WriteLogs(ctx context.Context, login *Login, targets []Target, parallel int, prefix bool,
	w io.Writer) []error {
	var lock sync.Mutex
	var errs []error
	var group errgroup.Group
	group.SetLimit(parallel)
	for _, t := range targets {
		group.Go(func() error {
			lead := ""
			if prefix {
				lead = t.Machine.Name + ": "
			}
			h, err := login.Connect(ctx, t)
			if err == nil {
				err = q.WriteLog(ctx, h, func(line string) {
					lock.Lock()
					defer lock.Unlock()
					_, _ = io.WriteString(w, lead+line+"\n") // an output that is closed is no longer read
				})
			}
			if err != nil {
				lock.Lock()
				defer lock.Unlock()
				errs = append(errs, err)
			}
			return nil
		})
	}
	_ = group.Wait() // no function fails
	return errs
}
