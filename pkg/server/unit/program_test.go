package unit

import (
	"errors"
	"testing"
)

func TestServiceRunsAnotherSkydAfterwards(t *testing.T) {
	for name, render := range map[string]func(Unit) (string, error){
		"systemd": Unit.RenderSystemd, "launchd": Unit.RenderLaunchd,
	} {
		for _, paths := range [][2]string{{plain.Skyd, odd.Skyd}, {odd.Skyd, "/opt/skyctl/current/skyd"}} {
			before, after := odd, odd
			before.Skyd, after.Skyd = paths[0], paths[1]
			text, err := render(before)
			if err != nil {
				t.Fatal(err)
			}
			want, err := render(after)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ReplaceProgram(text, after.Skyd)
			if err != nil || got != want {
				t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, want)
			}
		}
	}
}

func TestProgramOfAForeignServiceIsNotReplaced(t *testing.T) {
	if _, err := ReplaceProgram("[Service]\nExecStart=/bin/other\n", "/usr/bin/skyd"); !errors.Is(err, ErrNoProgram) {
		t.Errorf("a foreign service: %v", err)
	}
	text, err := plain.RenderSystemd()
	if err != nil {
		t.Fatal(err)
	}
	var wrong *ValueError
	for _, path := range []string{"/a\nb", `/a"b`} {
		if _, err := ReplaceProgram(text, path); !errors.As(err, &wrong) {
			t.Errorf("%q: %v", path, err)
		}
	}
}
