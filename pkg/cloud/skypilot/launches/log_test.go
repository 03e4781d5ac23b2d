package launches

import (
	"slices"
	"testing"
)

func TestLogKeepsOnlyItsEnd(t *testing.T) {
	var said []string
	log := NewLog(func(s string) { said = append(said, s) })
	for range 5000 {
		log.AddLine("⚙︎ Launching on AWS us-east-1 (us-east-1a).")
	}
	log.AddLine("Cluster launched: sky-demo-0.")
	if n := len(log.All()); n > 2001 {
		t.Errorf("%d lines are kept", n)
	}
	if want := []string{"Launching on AWS us-east-1 (us-east-1a)", "launched"}; !slices.Equal(said, want) {
		t.Errorf("progress %q, want %q", said, want)
	}
}
