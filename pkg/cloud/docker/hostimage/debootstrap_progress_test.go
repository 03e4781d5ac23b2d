package hostimage

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestDebootstrapReportsPackagesByStep(t *testing.T) {
	var out strings.Builder
	out.WriteString("I: Retrieving InRelease \nI: Unpacking the base system...\n")
	for i := range reportEvery + 5 {
		fmt.Fprintf(&out, "I: Retrieving lib%d 1.0\nI: Validating lib%d 1.0\n", i, i)
	}
	out.WriteString("I: Unpacking tar...\n")
	var said []string
	var passed bytes.Buffer
	p := &debootstrapProgress{report: func(words string) { said = append(said, words) }, said: &passed}
	for part := range slices.Chunk([]byte(out.String()), 7) { // lines arrive in pieces
		if _, err := p.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"1 downloaded", "10 downloaded", "1 unpacked"}
	for i := range want {
		want[i] = "installing the host image's packages: " + want[i]
	}
	if !slices.Equal(said, want) {
		t.Errorf("reported %q, want %q", said, want)
	}
	if passed.String() != out.String() {
		t.Error("the output was not passed on whole")
	}
}
