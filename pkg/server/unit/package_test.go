package unit

import (
	"testing"

	"github.com/sky-shift/skyctl/test/golden"
)

// The units of the packages are golden files at the place from which packages take them.
func TestUnitsOfThePackages(t *testing.T) {
	for command, name := range map[string]string{"dev": "skyd@.service", "worker": "skyd-worker@.service"} {
		golden.Compare(t, "../../../../release/packages/"+name, RenderPackageTemplate(command))
	}
}
