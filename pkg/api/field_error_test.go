package api

import "testing"

func TestFieldErrorShowsNoValueWhereNoneWasGiven(t *testing.T) {
	for _, tt := range []struct {
		err  FieldError
		want string
	}{
		{FieldError{Field: "cloud", Value: "awss", Want: "one of: docker"}, `cloud "awss": one of: docker`},
		{FieldError{Field: "cpus", Want: "a number"}, `cpus "": a number`},
		{FieldError{Field: "cloud", Want: "one of: docker", Unset: true}, "cloud is not set: one of: docker"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
