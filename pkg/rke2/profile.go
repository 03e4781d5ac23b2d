package rke2

import (
	"context"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
)

// The files of the kernel parameters that a hardened node needs: RKE2's, below its prefix, and where it takes effect
// (docs.rke2.io/security/hardening_guide, "Kernel parameters").
const (
	hardenedParameters = "share/rke2/rke2-cis-sysctl.conf"
	parametersFile     = "/etc/sysctl.d/60-rke2-cis.conf"
)

// ApplyProfile prepares a machine for the keys profile and protect-kernel-defaults of a cluster's configuration: RKE2
// does not start with profile cis without its kernel parameters, nor a server with cis or etcd without the user etcd
// (rancher/rke2 release-1.35, pkg/cli/cmds/profile_linux.go). It does nothing without such a key. RKE2 has to be
// installed.
func ApplyProfile(ctx context.Context, h *remote.Host, config map[string]api.ConfigValue) error {
	script := ""
	if len(config["profile"]) > 0 {
		script += ensureEtcdUserScript
	}
	if api.NeedsKernelParameters(config) {
		script += applyParametersScript
	}
	if script == "" {
		return nil
	}
	_, err := h.RunScript(ctx, "hardening the machine", "set -e\n"+FactsScript+script)
	return err
}

// ensureEtcdUserScript creates the user in the files that RKE2 reads: Go's os/user knows no other database.
const ensureEtcdUserScript = `
grep -q '^etcd:' /etc/passwd || useradd --system --user-group --no-create-home --shell /usr/sbin/nologin \
  --comment 'etcd of RKE2' etcd
`

// applyParametersScript writes the parameters for the next boot, and sets those that differ.
const applyParametersScript = `
if systemd-detect-virt --container --quiet 2>/dev/null; then
  echo "this machine is a container, which shares the kernel parameters of its computer" >&2; exit 1; fi
parameters="$prefix/` + hardenedParameters + `"
[ -f "$parameters" ] || {
  echo "the release has no $parameters, which the profile needs" >&2; exit 1; }
mkdir -p /etc/sysctl.d
cmp -s "$parameters" ` + parametersFile + ` || cp -f "$parameters" ` + parametersFile + `
while IFS='= ' read -r name value; do
  case "$name" in ''|\#*) continue;; esac
  file=/proc/sys/$(echo "$name" | tr . /)
  [ "$(cat "$file")" = "$value" ] || echo "$value" >"$file" || {
    echo "$name cannot be set to $value on this machine" >&2; exit 1; }
done <` + parametersFile + `
`
