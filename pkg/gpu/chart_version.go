package gpu

import (
	"fmt"
	"regexp"
	"strconv"
)

var versionForm = regexp.MustCompile(`^v?(\d+)\.(\d+)\.(\d+)([-+][0-9A-Za-z.+-]+)?$`)

// isVersionAtLeast says whether a chart's version is major.minor or later; what is no version is an error.
func isVersionAtLeast(version string, major, minor int) (bool, error) {
	m := versionForm.FindStringSubmatch(version)
	if m == nil {
		return false, fmt.Errorf("%q is not the version of a chart, such as %s", version, DefaultOperatorVersion)
	}
	x, errX := strconv.Atoi(m[1])
	y, errY := strconv.Atoi(m[2])
	if errX != nil || errY != nil {
		return false, fmt.Errorf("%q is not the version of a chart, such as %s", version, DefaultOperatorVersion)
	}
	return x > major || x == major && y >= minor, nil
}
