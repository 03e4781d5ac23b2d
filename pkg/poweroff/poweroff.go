// Package poweroff limits the cost of machines that nobody terminates: a timer on the machine powers it off unless it
// is removed in time. It needs only systemd: no runtime, no cloud permissions, no network.
//
// The timer is a unit on disk, so it survives a reboot; the delay then starts again. It replaces the timer that the
// first boot of a machine may have set (BootUnitName). Whether a machine that is powered off still costs money depends
// on the cloud, see docs/clouds.md.
package poweroff

import (
	"context"
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/remote"
)

const (
	// UnitName is the name of the timer and its service.
	UnitName = "skyctl-power-off"
	// BootUnitName is the name of a timer that the first boot of a machine may have set before skyctl could reach the
	// machine. It is a transient unit of systemd, which files on disk do not replace.
	BootUnitName = cloud.BootPowerOffUnit
)

// minDelay gives a machine that is still in use some time if the timer is set late.
const minDelay = time.Minute

// ArmTimer sets a timer that powers the machine off after the given time, at least a minute, even if skyd is gone. It
// restarts an existing timer.
func ArmTimer(ctx context.Context, h *remote.Host, after time.Duration) error {
	_, err := h.RunScript(ctx, "setting the power-off timer",
		fmt.Sprintf(armScript, int(max(after, minDelay).Seconds())))
	return err
}

// DisarmTimer removes the timer; it does nothing on a machine without one. It fails if the machine is already powering
// off.
func DisarmTimer(ctx context.Context, h *remote.Host) error {
	_, err := h.RunScript(ctx, "clearing the power-off timer", disarmScript)
	return err
}

// armScript replaces the unit of the timer and restarts it within systemd, so that the machine always has a timer, even
// if the connection breaks.
const armScript = `set -e
umask 022
cd /etc/systemd/system
cat >` + UnitName + `.service.new <<'END'
[Unit]
Description=Power off: the cluster of this machine did not become READY in time (skyctl)

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'exec systemctl poweroff'
END
cat >` + UnitName + `.timer.new <<'END'
[Unit]
Description=Power off unless the cluster of this machine becomes READY in time (skyctl)

[Timer]
OnActiveSec=%d
AccuracySec=1s

[Install]
WantedBy=timers.target
END
mv -f ` + UnitName + `.service.new ` + UnitName + `.service
mv -f ` + UnitName + `.timer.new ` + UnitName + `.timer
systemctl daemon-reload
systemctl enable -q --no-reload ` + UnitName + `.timer
systemctl restart ` + UnitName + `.timer
systemctl is-active -q ` + UnitName + `.timer || { echo "systemd does not run ` + UnitName + `.timer" >&2; exit 1; }
! systemctl is-active -q ` + BootUnitName + `.timer || systemctl stop ` + BootUnitName + `.timer
`

// disarmScript stops the timers first: a service that they have not started by then never starts.
const disarmScript = `set -e
cd /etc/systemd/system
is_active() { case "$(systemctl show -p ActiveState --value "$1")" in active|activating) ;; *) false;; esac; }
powering_off=0
for unit in ` + UnitName + ` ` + BootUnitName + `; do
  ! is_active $unit.timer || systemctl stop $unit.timer
  ! is_active $unit.service || powering_off=1
done
[ "$(systemctl is-system-running || :)" != stopping ] || powering_off=1
[ $powering_off = 0 ] || {
  echo "the machine is powering off: its cluster did not become READY in time" >&2; exit 1; }
if [ -e ` + UnitName + `.timer ]; then
  systemctl disable -q --no-reload ` + UnitName + `.timer
  rm -f ` + UnitName + `.timer ` + UnitName + `.service
  systemctl daemon-reload
fi
for unit in ` + UnitName + ` ` + BootUnitName + `; do
  ! is_active $unit.timer || { echo "systemd still runs $unit.timer" >&2; exit 1; }
done
`
