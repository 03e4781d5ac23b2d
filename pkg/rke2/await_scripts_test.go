package rke2

import (
	"os/exec"
	"strings"
	"testing"
)

func TestRequestWithoutAnAnswerSaysOnlyWhy(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "sh", "-c",
		requestScript+`request -k https://127.0.0.1:1/ping; echo "$why"`).CombinedOutput()
	got := strings.TrimSpace(string(out))
	if err != nil || !strings.HasPrefix(got, "curl: (7) ") || strings.Contains(got, "000") ||
		strings.Contains(got, "\n") {
		t.Errorf("%v: %q", err, got)
	}
}
