package daemon

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/config"
)

func TestStateOfANewerSkydIsRefused(t *testing.T) {
	c := &config.Config{Dir: t.TempDir()}
	if err := os.Mkdir(c.ServerDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	mine := Writer{Version: "v1.2.0", Level: 7}
	if err := RefuseNewerState(c, mine); err != nil { // a state of before such records
		t.Errorf("no record: %v", err)
	}
	for _, tt := range []struct {
		writer  Writer
		refused bool
	}{
		{Writer{"v1.1.0", 6}, false}, {mine, false}, {Writer{"v1.2.5", 7}, false}, {Writer{"v1.3.0", 8}, true},
	} {
		if err := RecordWriter(c, tt.writer); err != nil {
			t.Fatal(err)
		}
		err := RefuseNewerState(c, mine)
		var newer *NewerStateError
		if errors.As(err, &newer) != tt.refused || (err != nil) != tt.refused ||
			tt.refused && !strings.Contains(err.Error(), "install skyd v1.3.0 or newer") {
			t.Errorf("%+v: %v", tt.writer, err)
		}
	}
}
