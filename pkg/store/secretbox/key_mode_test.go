package secretbox

import (
	"io/fs"
	"testing"
)

func TestAKeyOfRootMayBeReadableByItsGroup(t *testing.T) {
	for _, c := range []struct {
		mode        fs.FileMode
		owner, self int
		want        bool
	}{
		{0o400, 1000, 1000, true},
		{0o600, 0, 0, true},
		{0o440, 0, 65532, true}, // a Secret of Kubernetes with fsGroup
		{0o640, 0, 65532, true},
		{0o440, 0, 0, false},
		{0o440, 1000, 1000, false},
		{0o440, 1000, 65532, false},
		{0o440, -1, 65532, false},
		{0o660, 0, 65532, false},
		{0o444, 0, 65532, false},
	} {
		if got := isPrivate(c.mode, c.owner, c.self); got != c.want {
			t.Errorf("mode %04o, owner %d, as %d: %v, want %v", c.mode, c.owner, c.self, got, c.want)
		}
	}
}
