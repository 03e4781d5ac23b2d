package localserver

import (
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/task"
)

func TestLeanPluginKnowsTheNamesThatSkyctlUses(t *testing.T) {
	for _, line := range []string{
		"NO_PROFILE = '" + task.NoProfile + "'",
		"POWER_OFF_LABEL = '" + task.PowerOffLabel + "'",
		"POWER_OFF_UNIT = '" + cloud.BootPowerOffUnit + "'",
	} {
		if !strings.Contains(string(leanPlugin), "\n"+line+"\n") {
			t.Errorf("the plugin lacks the line %s", line)
		}
	}
}
