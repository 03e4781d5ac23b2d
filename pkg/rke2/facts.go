package rke2

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/sky-shift/skyctl/pkg/remote"
)

// Facts is what a machine shows of itself.
type Facts struct {
	// Arch is as Go and RKE2 name it: amd64, arm64.
	Arch string
	// Systemd says that systemd runs the machine.
	Systemd bool
	// Prefix is where RKE2 goes: /usr/local, or /opt/rke2 where that is read-only or a mount point.
	Prefix string
	// CPUs and MemoryBytes are what the kubelet will report as capacity.
	CPUs        int
	MemoryBytes int64
}

// factsScript sets and prints facts as one line of KEY=VALUE. The kubelet's capacity is all online processors and
// /proc/meminfo's MemTotal, whatever limits the machine's own cgroup has.
const factsScript = `
prefix=/usr/local
if mountpoint -q /usr/local ||
  ! { mkdir -p /usr/local && t=$(mktemp /usr/local/.skyctl.XXXXXX) && rm -f "$t"; } 2>/dev/null
then prefix=/opt/rke2; fi
systemd=0; [ -d /run/systemd/system ] && systemd=1
echo "arch=$(uname -m) systemd=$systemd prefix=$prefix cpus=$(getconf _NPROCESSORS_ONLN)" \
  "memory_kib=$(awk '$1 == "MemTotal:" {print $2}' /proc/meminfo)"
`

// GatherFacts asks a machine for its facts.
func GatherFacts(ctx context.Context, h *remote.Host) (Facts, error) {
	out, err := h.RunScript(ctx, "gathering facts", factsScript)
	if err != nil {
		return Facts{}, err
	}
	return parseFacts(h.Name(), string(out))
}

// architectures maps the kernel's names to RKE2's.
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
			Message: fmt.Sprintf("its architecture is %s; RKE2 is made for x86_64 and aarch64", kv["arch"])}
	case !f.Systemd:
		return f, &Error{Kind: Unsupported, Machine: machine, Permanent: true,
			Message: "systemd does not run it, and RKE2 is run by systemd; use an image with systemd"}
	}
	return f, nil
}

// newNoFactsError is the error of a machine that did not say what it is.
func newNoFactsError(machine, what, line string) error {
	return &Error{Kind: NoFacts, Machine: machine,
		Message: fmt.Sprintf("its %s can't be read from %.200q; see that getconf, awk, uname and /proc/meminfo work "+
			"there", what, line)}
}

// ParseKeyValues reads a line of KEY=VALUE words.
func ParseKeyValues(line string) map[string]string {
	kv := map[string]string{}
	for word := range strings.FieldsSeq(line) {
		if k, v, ok := strings.Cut(word, "="); ok {
			kv[k] = v
		}
	}
	return kv
}
