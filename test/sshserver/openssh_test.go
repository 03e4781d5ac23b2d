package sshserver

import (
	"testing"

	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/test/needs"
)

// lockRoot runs a program on a computer whose root is locked, as Ubuntu's installer leaves it.
const lockRoot = `dir=$(mktemp -d) && mount -t tmpfs tmpfs "$dir" &&
sed 's/^root:[^:]*:/root:!:/' /etc/shadow >"$dir/shadow" && mount --bind "$dir/shadow" /etc/shadow &&
umount -l "$dir" && rmdir "$dir" && exec "$@"`

func TestOpenSSHLetsInItsUserWhereRootIsLocked(t *testing.T) {
	needs.Root(t)
	entered := []string{"unshare", "--mount", "--propagation", "private", "sh", "-c", lockRoot, "sh"}
	for user, enter := range map[string][]string{"root": entered, "nobody": nil} {
		s := StartOpenSSH(t, OpenSSHOptions{Name: "machine", Enter: enter})
		h, err := remote.Dial(t.Context(), s.Target, s.Key)
		if err != nil {
			t.Fatalf("%s: %v", user, err)
		}
		h.Close()
		if s.Target.User != user {
			t.Errorf("logged in as %s, want %s", s.Target.User, user)
		}
	}
}
