package terminal

import (
	"bytes"
	"strings"
	"testing"
)

func TestWriterPassesOnSplitCharacters(t *testing.T) {
	var b bytes.Buffer
	w := &SanitizingWriter{To: &b}
	for _, part := range strings.Split("✔ 東\u202e\tx\n", "") {
		for i := range len(part) {
			if n, err := w.Write([]byte{part[i]}); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
	}
	if b.String() != "✔ 東\\u202e\tx\n" {
		t.Errorf("got %q", b.String())
	}
}
