package main

import (
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/config"
)

func TestComponentsAreSwitchedOffOneByOne(t *testing.T) {
	for _, key := range []string{"disable-controller-manager", "disable-scheduler", "disable-kube-proxy"} {
		var s settings
		if err := s.readDisabled(config.Values{key: {"true"}}); err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{"disable-controller-manager": s.head.NoControllers,
			"disable-scheduler": s.head.NoScheduler, "disable-kube-proxy": s.node.NoKubeProxy}
		for other, off := range got {
			if off != (other == key) {
				t.Errorf("with %s: %s is off: %t", key, other, off)
			}
		}
	}
	err := new(settings).readDisabled(config.Values{"disable-scheduler": {"maybe"}})
	if err == nil || !strings.Contains(err.Error(), `disable-scheduler "maybe"`) {
		t.Errorf("got %v", err)
	}
}
