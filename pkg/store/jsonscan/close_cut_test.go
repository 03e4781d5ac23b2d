package jsonscan

import (
	"encoding/json"
	"testing"
)

func TestCloseCut(t *testing.T) {
	const whole = `{"a": {"b": [1, 2.5, {"c": "x\"y"}], "d": null, "e": true}, "f": "", "g": [], "h": {"i": -3}}`
	for length := 1; length <= len(whole); length++ {
		got := CloseCut([]byte(whole[:length]))
		if !json.Valid(got) {
			t.Errorf("%s became %s", whole[:length], got)
		}
	}
	for cut, want := range map[string]string{
		`{"a":1,"b":"two","c`: `{"a":1,"b":"two"}`, `{"a":{"b":1,"c":[1,{"d":2`: `{"a":{"b":1,"c":[1,{}]}}`,
		`{"a":12`: `{}`, `{"a":12,`: `{"a":12}`,
	} {
		if got := string(CloseCut([]byte(cut))); got != want {
			t.Errorf("%s became %s, want %s", cut, got, want)
		}
	}
}
