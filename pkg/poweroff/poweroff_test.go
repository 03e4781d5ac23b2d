package poweroff_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/poweroff"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/test/nsmachine"
)

// systemctl imitates systemd: the state of each unit is a file, and a timer can run only after its file was loaded.
const systemctl = `#!/bin/sh
state=/run/systemd/system
for unit; do :; done
echo "$@" >>$state/calls
case "$1" in
daemon-reload) rm -f $state/read.*; for f in *.timer *.service; do [ ! -e "$f" ] || cp "$f" "$state/read.$f"; done;;
enable) touch $state/$unit.enabled;;
disable) rm $state/$unit.enabled;;
restart)
  [ -e $state/read.$unit ] || { echo "no such unit" >&2; exit 5; }; echo "${STARTS:-active}" >$state/$unit.active;;
stop) rm -f $state/$unit.active;;
is-active) [ "$(cat $state/$unit.active 2>/dev/null)" = active ];;
is-system-running) cat $state/running 2>/dev/null || { echo degraded; exit 1; };;
show) cat $state/$unit.active 2>/dev/null || echo inactive;;
esac
`

func newMachine(t *testing.T, env ...string) *nsmachine.Machine {
	t.Helper()
	m := nsmachine.Start(t, []string{"/etc/systemd/system", "/run/systemd/system"}, env...)
	m.InstallProgram("systemctl", systemctl)
	return m
}

func TestArmedTimerSurvivesAReboot(t *testing.T) {
	m := newMachine(t)
	if err := poweroff.ArmTimer(t.Context(), m.Host, 90*time.Minute); err != nil {
		t.Fatal(err)
	}
	units := m.RunShell("cat /run/systemd/system/read.skyctl-power-off.*")
	for _, want := range []string{"OnActiveSec=5400\n", "exec systemctl poweroff", "WantedBy=timers.target"} {
		if !strings.Contains(units, want) {
			t.Errorf("%q is not in the units that systemd loaded:\n%s", want, units)
		}
	}
	if m.RunShell("cat /run/systemd/system/skyctl-power-off.timer.active; ls /run/systemd/system/*.enabled") !=
		"active\n/run/systemd/system/skyctl-power-off.timer.enabled" {
		t.Errorf("the timer is not active or not enabled: %s", m.RunShell("ls /run/systemd/system"))
	}
}

func TestArmingAgainRestartsTheTimerWithoutAGap(t *testing.T) {
	m := newMachine(t)
	for _, after := range []time.Duration{time.Hour, 2 * time.Hour} {
		if err := poweroff.ArmTimer(t.Context(), m.Host, after); err != nil {
			t.Fatal(err)
		}
	}
	got := m.RunShell("grep OnActiveSec /run/systemd/system/read.skyctl-power-off.timer")
	if got != "OnActiveSec=7200" {
		t.Errorf("the timer of systemd is %s", got)
	}
	if calls := m.RunShell("cat /run/systemd/system/calls"); strings.Contains(calls, "stop") ||
		strings.Contains(calls, "disable") {
		t.Errorf("the timer was stopped for a moment:\n%s", calls)
	}
}

func TestBootTimerIsReplacedAndRemoved(t *testing.T) {
	m := newMachine(t)
	const boot = "/run/systemd/system/skyctl-deadman.timer.active"
	m.RunShell("echo active >" + boot)
	if err := poweroff.ArmTimer(t.Context(), m.Host, time.Hour); err != nil {
		t.Fatal(err)
	}
	calls := m.RunShell("cat /run/systemd/system/calls")
	if m.RunShell("ls "+boot+" 2>/dev/null || :") != "" ||
		strings.Index(calls, "stop skyctl-deadman.timer") < strings.Index(calls, "restart skyctl-power-off.timer") {
		t.Errorf("the boot timer still runs, or was stopped before the new one started:\n%s", calls)
	}
	m = newMachine(t)
	m.RunShell("echo active >" + boot)
	if err := poweroff.DisarmTimer(t.Context(), m.Host); err != nil ||
		m.RunShell("ls "+boot+" 2>/dev/null || :") != "" {
		t.Errorf("the boot timer still runs, or an error: %v", err)
	}
}

func TestTimerRunsAtLeastAMinute(t *testing.T) {
	m := newMachine(t)
	if err := poweroff.ArmTimer(t.Context(), m.Host, -time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := m.RunShell("grep OnActiveSec /etc/systemd/system/skyctl-power-off.timer"); got != "OnActiveSec=60" {
		t.Errorf("the timer is %s", got)
	}
}

func TestTimerThatDoesNotStartIsAnError(t *testing.T) {
	m := newMachine(t, "STARTS=failed")
	if err := poweroff.ArmTimer(t.Context(), m.Host, time.Hour); err == nil {
		t.Error("no error")
	}
}

func TestDisarmingIsRepeatable(t *testing.T) {
	m := newMachine(t)
	if err := poweroff.ArmTimer(t.Context(), m.Host, time.Hour); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := poweroff.DisarmTimer(t.Context(), m.Host); err != nil {
			t.Fatal(err)
		}
		if left := m.RunShell("ls -A /etc/systemd/system; ls /run/systemd/system | grep -v calls || :"); left != "" {
			t.Errorf("left on the machine: %s", left)
		}
	}
}

func TestDisarmingFailsDuringPowerOff(t *testing.T) {
	for name, ending := range map[string]string{
		"the service runs":    "echo activating >/run/systemd/system/skyctl-power-off.service.active",
		"systemd is stopping": "echo stopping >/run/systemd/system/running",
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			if err := poweroff.ArmTimer(t.Context(), m.Host, time.Hour); err != nil {
				t.Fatal(err)
			}
			m.RunShell(ending)
			err := poweroff.DisarmTimer(t.Context(), m.Host)
			var run *remote.RunError
			if !errors.As(err, &run) || !strings.Contains(strings.Join(run.Tail, " "), "powering off") {
				t.Errorf("got %v, want an error about powering off", err)
			}
		})
	}
}
