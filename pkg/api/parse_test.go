package api_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestParseQuantityAcceptsWholeNumbersOnly(t *testing.T) {
	for in, want := range map[string]api.Quantity{"4": {Value: 4}, "4+": {Value: 4, AtLeast: true},
		"100000": {Value: 100000}} {
		got, err := api.ParseQuantity(in)
		if err != nil || got != want || got.String() != in {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "0", "0+", "-1", "4 ", "4+ ", "1_0", "0x4", "4GiB"} {
		if got, err := api.ParseQuantity(in); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", in)) ||
			!strings.Contains(err.Error(), "such as 4+") {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
	exact, atLeast := api.Quantity{Value: 4}, api.Quantity{Value: 4, AtLeast: true}
	for has, want := range map[float64][2]bool{3.5: {false, false}, 4: {true, true}, 4.5: {false, true}} {
		if exact.IsMetBy(has) != want[0] || atLeast.IsMetBy(has) != want[1] {
			t.Errorf("%v: exact %v, at least %v", has, exact.IsMetBy(has), atLeast.IsMetBy(has))
		}
	}
}

func TestSizesCanHaveTheUnitGiB(t *testing.T) {
	for in, want := range map[string]string{"16": "16", "16+": "16+", "16GiB": "16", "16Gi": "16", "16GiB+": "16+",
		"16Gi+": "16+"} {
		if got, err := api.ParseMemory(in); err != nil || got.String() != want {
			t.Errorf("memory %s: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"100", "100GiB", "100Gi"} {
		if got, err := api.ParseDiskSize(in); err != nil || got != 100 {
			t.Errorf("disk %s: %d, %v", in, got, err)
		}
	}
	for in, says := range map[string]string{"0": "from 1", "-1": "from 1", "1.5": "whole", "100GB": "always in GiB",
		"1Ti": "always in GiB", "100+": "such as 100", "": "such as 100"} {
		_, err := api.ParseDiskSize(in)
		var e *api.FieldError
		if !errors.As(err, &e) || e.Field != "disk_size" || e.Value != in || !strings.Contains(e.Want, says) {
			t.Errorf("disk %q: %v, want it to say %q", in, err, says)
		}
	}
}

func TestParseAcceleratorsAcceptsAllForms(t *testing.T) {
	for in, want := range map[string]string{
		"A100": "A100:1", "A100:8": "A100:8", "{A100: 8}": "A100:8", "{A100:8}": "A100:8", ` {"A100": 8} `: "A100:8",
		"{'A100': 8}": "A100:8",
		"A100-80GB:2": "A100-80GB:2", "tpu-v2-8": "tpu-v2-8:1", "RTX6000-Ada:4": "RTX6000-Ada:4", "{H100}": "H100:1",
	} {
		got, err := api.ParseAccelerators(in)
		if err != nil || got.String() != want {
			t.Errorf("%s: %v, %v; want %s", in, got, err, want)
		}
	}
}

func TestParsePortsSortsPortsAndRanges(t *testing.T) {
	got, err := api.ParsePorts([]string{"30000-30100", "8080", "1", "65535", "8081"})
	want := []api.PortRange{{1, 1}, {8080, 8080}, {8081, 8081}, {30000, 30100}, {65535, 65535}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := api.ParsePorts(nil); err != nil || got != nil {
		t.Errorf("none: %v, %v", got, err)
	}
}

func TestParseLabelsReportsEachMalformedLabel(t *testing.T) {
	got, err := api.ParseLabels([]string{"team=ml", "empty=", "example.com/A_b.c-1=X", "team=ml"})
	want := map[string]string{"team": "ml", "empty": "", "example.com/A_b.c-1": "X"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := api.ParseLabels(nil); err != nil || got != nil {
		t.Errorf("none: %v, %v", got, err)
	}
	_, err = api.ParseLabels([]string{"team", "a=b=c", "x=1", "x=2", "ok=1"})
	var said []string
	for _, e := range api.FieldErrorsOf(err) {
		if e.Field != "labels" {
			t.Errorf("field %s", e.Field)
		}
		said = append(said, e.Value+": "+e.Want)
	}
	if len(said) != 3 || !strings.HasPrefix(said[0], "team: key=value") ||
		!strings.HasPrefix(said[1], "a=b=c: a value") || !strings.Contains(said[2], "x=1 was given too") {
		t.Errorf("said %q", said)
	}
}
