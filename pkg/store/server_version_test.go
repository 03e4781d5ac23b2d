package store_test

import (
	"strings"
	"testing"
)

func TestServerVersion(t *testing.T) {
	if v, err := open(t, "version", nil).ServerVersion(t.Context()); err != nil || !strings.HasPrefix(v, "3.") {
		t.Errorf("%q, %v", v, err)
	}
}
