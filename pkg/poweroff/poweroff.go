// Package poweroff keeps machines that bill from outliving everybody who would end them: a timer on the machine itself
// powers it off unless it is taken away in time. It needs nothing but systemd: no runtime, no rights on a cloud, no
// network.
//
// The timer is a unit on disk, so that a reboot does not lose it; it then counts anew. Where a machine's first boot has
// set one already (BootUnitName), this one takes its place. What powering off means to the bill differs between clouds,
// see docs/clouds.md.
package poweroff

import (
	"context"
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/remote"
)

const (
	// UnitName is the name of the timer, and of the service that it starts.
	UnitName = "skyctl-power-off"
	// BootUnitName is the name of a timer that a machine's first boot may have set, before anybody could reach it. It
	// is of systemd's transient kind, which files on disk don't replace.
	BootUnitName = cloud.BootPowerOffUnit
)

// minDelay keeps an order that comes late from ending a machine under the hands of who is about to use it.
const minDelay = time.Minute

// ArmTimer has the machine power itself off after a time, of at least a minute, whatever becomes of us. A timer that is
// there counts anew.
func ArmTimer(ctx context.Context, h *remote.Host, after time.Duration) error {
	_, err := h.RunScript(ctx, "setting the power-off timer",
		fmt.Sprintf(armScript, int(max(after, minDelay).Seconds())))
	return err
}

// DisarmTimer takes the timer away for good; a machine that has none is left as it is. It fails where the machine is
// powering off already.
func DisarmTimer(ctx context.Context, h *remote.Host) error {
	_, err := h.RunScript(ctx, "clearing the power-off timer", disarmScript)
	return err
}

// armScript replaces the timer's unit at once and starts it anew within systemd, so that there is no moment without a
// timer in which a connection could break.
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

// disarmScript stops the timers first: what they have not begun by then they never will.
const disarmScript = `set -e
cd /etc/systemd/system
on() { case "$(systemctl show -p ActiveState --value "$1")" in active|activating) ;; *) false;; esac; }
ending=0
for unit in ` + UnitName + ` ` + BootUnitName + `; do
  ! on $unit.timer || systemctl stop $unit.timer
  ! on $unit.service || ending=1
done
[ "$(systemctl is-system-running || :)" != stopping ] || ending=1
[ $ending = 0 ] || {
  echo "the machine is powering off: its time to become part of a READY cluster is over" >&2; exit 1; }
if [ -e ` + UnitName + `.timer ]; then
  systemctl disable -q --no-reload ` + UnitName + `.timer
  rm -f ` + UnitName + `.timer ` + UnitName + `.service
  systemctl daemon-reload
fi
for unit in ` + UnitName + ` ` + BootUnitName + `; do
  ! on $unit.timer || { echo "systemd still runs $unit.timer" >&2; exit 1; }
done
`
