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
	// CgroupV1 reports whether the kubelet would say that the machine has cgroup version 1.
	CgroupV1 bool
	// MTU is that of the network interface with the IPv4 default route, in bytes; 0 if there is none.
	MTU int
	// Release is the release that InstallRelease installed, such as v1.35.7+rke2r1; "" before.
	Release string
}

// FactsScript sets and prints facts as one line of KEY=VALUE, for ParseFacts. The kubelet's capacity is all online
// processors and MemTotal of /proc/meminfo, whatever the limits of the machine's cgroup. The machine has cgroup version
// 2 if /sys/fs/cgroup is of that type, 63677270 (github.com/opencontainers/cgroups v0.0.6 utils.go,
// IsCgroup2UnifiedMode).
const FactsScript = `
prefix=/usr/local
if mountpoint -q /usr/local ||
  ! { mkdir -p /usr/local && t=$(mktemp /usr/local/.skyctl.XXXXXX) && rm -f "$t"; } 2>/dev/null
then prefix=/opt/rke2; fi
systemd=0; [ -d /run/systemd/system ] && systemd=1
nic=$(awk '$2 == "00000000" && $8 == "00000000" && (nic == "" || $7 < metric) {nic = $1; metric = $7}
  END {print nic}' /proc/net/route 2>/dev/null || true)
echo "arch=$(uname -m) systemd=$systemd prefix=$prefix cpus=$(getconf _NPROCESSORS_ONLN)" \
  "memory_kib=$(awk '$1 == "MemTotal:" {print $2}' /proc/meminfo)" \
  "cgroup=$(stat -f -c %t /sys/fs/cgroup 2>/dev/null)" \
  "mtu=$([ -z "$nic" ] || cat "/sys/class/net/$nic/mtu" 2>/dev/null)" \
  "release=$(awk 'NR == 1 {print $1}' "$prefix/share/rke2/.skyctl" 2>/dev/null)"
`

// CopiedScript prints what InstallRelease and InstallImages have put on a machine, also in an attempt that did not end:
// release_kib=N archives_kib=N. It needs $prefix of FactsScript.
const CopiedScript = `
measure() { du -sk "$@" 2>/dev/null | awk '{sum += $1} END {print sum + 0}'; }
echo "release_kib=$(measure ` + stagingDir + ` "$prefix/bin/rke2" "$prefix/share/rke2")" \
  "archives_kib=$(measure ` + imagesDir + `)"
`

// cgroup2Type is the type of the file system of cgroup version 2, in hexadecimal.
const cgroup2Type = "63677270"

// GatherFacts reads the facts of a machine.
func GatherFacts(ctx context.Context, h *remote.Host) (Facts, error) {
	out, err := h.RunScript(ctx, "gathering facts", FactsScript)
	if err != nil {
		return Facts{}, err
	}
	return parseFacts(h.Name(), string(out))
}

// architectures maps the kernel's architecture names to RKE2's.
var architectures = map[string]string{"x86_64": "amd64", "aarch64": "arm64", "amd64": "amd64", "arm64": "arm64"}

// parseFacts parses a line of FactsScript. On a machine that RKE2 has no release for it returns an *Error.
func parseFacts(machine, line string) (Facts, error) {
	f, unsupported, err := ParseFacts(machine, line)
	if err == nil && unsupported != "" {
		err = &Error{Kind: Unsupported, Machine: machine, Permanent: true, Message: unsupported}
	}
	return f, err
}

// ParseFacts parses a line of FactsScript. unsupported says why RKE2 has no release for the machine; it is "" if it
// has.
func ParseFacts(machine, line string) (f Facts, unsupported string, err error) {
	kv := ParseKeyValues(line)
	f = Facts{Arch: architectures[kv["arch"]], Systemd: kv["systemd"] == "1", Prefix: kv["prefix"],
		CgroupV1: kv["cgroup"] != "" && kv["cgroup"] != cgroup2Type, Release: kv["release"]}
	f.MTU, _ = strconv.Atoi(kv["mtu"])
	if f.CPUs, err = strconv.Atoi(kv["cpus"]); err != nil {
		return Facts{}, "", newNoFactsError(machine, "number of processors", line)
	}
	kib, err := strconv.ParseInt(kv["memory_kib"], 10, 64)
	if err != nil || f.Prefix == "" {
		return Facts{}, "", newNoFactsError(machine, "memory", line)
	}
	f.MemoryBytes = kib << 10
	switch {
	case f.Arch == "":
		unsupported = fmt.Sprintf("unsupported architecture %s; RKE2 supports x86_64 and aarch64", kv["arch"])
	case !f.Systemd:
		unsupported = "RKE2 needs systemd, which is not its init; use an image with systemd"
	}
	return f, unsupported, nil
}

// newNoFactsError is the error for output of FactsScript that cannot be parsed.
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
