package rke2

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/sky-shift/skyctl/pkg/remote"
)

// Facts are the properties of a machine.
type Facts struct {
	// Arch is the name in Go and RKE2: amd64, arm64.
	Arch string
	// Systemd reports whether systemd is the machine's init.
	Systemd bool
	// Prefix is the installation prefix of RKE2: /usr/local, or /opt/rke2 if that is read-only or a mount point.
	Prefix string
	// CPUs and MemoryBytes are the capacity that the kubelet will report.
	CPUs        int
	MemoryBytes int64
}

// factsScript sets and prints facts as one line of KEY=VALUE. The kubelet's capacity is all online processors and
// MemTotal of /proc/meminfo, whatever the limits of the machine's cgroup.
const factsScript = `
prefix=/usr/local
if mountpoint -q /usr/local ||
  ! { mkdir -p /usr/local && t=$(mktemp /usr/local/.skyctl.XXXXXX) && rm -f "$t"; } 2>/dev/null
then prefix=/opt/rke2; fi
systemd=0; [ -d /run/systemd/system ] && systemd=1
echo "arch=$(uname -m) systemd=$systemd prefix=$prefix cpus=$(getconf _NPROCESSORS_ONLN)" \
  "memory_kib=$(awk '$1 == "MemTotal:" {print $2}' /proc/meminfo)"
`

// GatherFacts reads the facts of a machine.
func GatherFacts(ctx context.Context, h *remote.Host) (Facts, error) {
	out, err := h.RunScript(ctx, "gathering facts", factsScript)
	if err != nil {
		return Facts{}, err
	}
	return parseFacts(h.Name(), string(out))
}

// architectures maps the kernel's architecture names to RKE2's.
var architectures = map[string]string{"x86_64": "amd64", "aarch64": "arm64", "amd64": "amd64", "arm64": "arm64"}

func parseFacts(machine, line string) (Facts, error) {
	kv := ParseKeyValues(line)
	f := Facts{Arch: architectures[kv["arch"]], Systemd: kv["systemd"] == "1", Prefix: kv["prefix"]}
	var err error
	if f.CPUs, err = strconv.Atoi(kv["cpus"]); err != nil {
		return Facts{}, newNoFactsError(machine, "number of processors", line)
	}
	kib, err := strconv.ParseInt(kv["memory_kib"], 10, 64)
	if err != nil || f.Prefix == "" {
		return Facts{}, newNoFactsError(machine, "memory", line)
	}
	f.MemoryBytes = kib << 10
	switch {
	case f.Arch == "":
		return f, &Error{Kind: Unsupported, Machine: machine, Permanent: true,
			Message: fmt.Sprintf("unsupported architecture %s; RKE2 supports x86_64 and aarch64", kv["arch"])}
	case !f.Systemd:
		return f, &Error{Kind: Unsupported, Machine: machine, Permanent: true,
			Message: "RKE2 needs systemd, which is not its init; use an image with systemd"}
	}
	return f, nil
}

// newNoFactsError is the error for output of factsScript that cannot be parsed.
func newNoFactsError(machine, what, line string) error {
	return &Error{Kind: NoFacts, Machine: machine,
		Message: fmt.Sprintf("failed to read its %s from %.200q; check that getconf, awk, uname and "+
			"/proc/meminfo work on the machine", what, line)}
}

// ParseKeyValues parses a line of KEY=VALUE words.
func ParseKeyValues(line string) map[string]string {
	kv := map[string]string{}
	for word := range strings.FieldsSeq(line) {
		if k, v, ok := strings.Cut(word, "="); ok {
			kv[k] = v
		}
	}
	return kv
}
