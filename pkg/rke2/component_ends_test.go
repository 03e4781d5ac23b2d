package rke2

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

const (
	apiServerLog = podLogs + "kube-apiserver-h_1/kube-apiserver/"
	refusedFlag  = "2026-11-29T04:00:00.1Z stderr F Usage:\n" +
		"2026-11-29T04:00:00.1Z stderr F   kube-apiserver [flags]\n" +
		"2026-11-29T04:00:00.2Z stderr F Error: unknown flag: --bogus-flag\n"
)

func TestRefusedArgumentEndsTheWaitWithItsName(t *testing.T) {
	m := newMachine(t)
	m.unit("rke2-server", startingState)
	m.Write(apiServerLog+"1.log", refusedFlag, 0o644)
	m.RunShell("touch -d '+1 hour' " + apiServerLog + "1.log") // it is of this wait
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	err := AwaitServer(ctx, m.Host, nil)
	var e *Error
	if !errors.As(err, &e) || e.Kind != ComponentFailed || !e.Permanent ||
		!strings.Contains(e.Message, "kube-apiserver does not accept its arguments: unknown flag: --bogus-flag") ||
		!strings.Contains(e.Message, "rke2.config[kube-apiserver-arg]") ||
		!strings.Contains(strings.Join(e.Lines, "\n"), apiServerLog+"1.log") {
		t.Errorf("got %v", err)
	}
}

func TestEndsOfComponentsCountOnceTheyRepeat(t *testing.T) {
	const passing = "2026-11-29T04:00:00.1Z stderr F E1129 04:00:00.1       1 run.go:72] \"command failed\" " +
		"err=\"open /etc/audit.yaml: no such file or directory\"\n"
	for _, tt := range []struct {
		name, file, text, touch string
		wantTrouble, wantKind   string
	}{
		{"first run", "0.log", refusedFlag, "now", "", ""},
		{"second run", "1.log", refusedFlag, "now", "", ComponentFailed},
		{"two runs in one log", "0.log", refusedFlag + refusedFlag, "now", "", ComponentFailed},
		{"long ago", "1.log", refusedFlag, "1 hour ago", "", ""},
		{"runs again", "1.log", refusedFlag + strings.Repeat("2026-11-29T04:00:01Z stderr F I1129 up\n", 3), "now", "",
			""},
		{"another cause", "2.log", passing, "now",
			"kube-apiserver starts again and again: open /etc/audit.yaml: no such file or directory", ""},
	} {
		m := newMachine(t)
		m.Write(apiServerLog+tt.file, tt.text, 0o644)
		m.RunShell("touch -d '" + tt.touch + "' " + apiServerLog + tt.file)
		trouble, err := CheckComponents(t.Context(), m.Host, api.RoleHead)
		if trouble != tt.wantTrouble || kindOf(err) != tt.wantKind {
			t.Errorf("%s: got %q, %v", tt.name, trouble, err)
		}
	}
}

func TestRefusedArgumentOfAKubeletNamesItsKey(t *testing.T) {
	m := newMachine(t)
	m.Write(journalFile, strings.Repeat(`level=error msg="Kubelet exited: exit status 1"`+"\n", 5), 0o644)
	m.Write(kubeletLog, "Error: unknown flag: --nope\n", 0o644)
	_, err := CheckComponents(t.Context(), m.Host, api.RoleWorker)
	if kindOf(err) != KubeletFailed || !strings.Contains(err.Error(), "correct rke2.config[kubelet-arg]") {
		t.Errorf("got %v", err)
	}
}
