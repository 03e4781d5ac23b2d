package token

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"strings"
	"testing"
)

var hash = strings.Repeat("0a", 32)

func TestParseReadsEveryForm(t *testing.T) {
	for in, want := range map[string]Token{
		"secret":                    {Password: "secret"},
		"  secret\n":                {Password: "secret"},
		"server:secret":             {User: "server", Password: "secret"},
		"K10" + hash + "::node:a:b": {CAHash: hash, User: "node", Password: "a:b"},
		"K10ofcourse":               {Password: "K10ofcourse"},
		"K10" + hash + "::abc123.0123456789abcdef": {CAHash: hash, Password: "abc123.0123456789abcdef"},
	} {
		if got, err := Parse(in); err != nil || got != want {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", in, got, err, want)
		}
	}
}

func TestParseRefusesBrokenTokens(t *testing.T) {
	for _, in := range []string{"", " ", "K10abc::node:x", "K10" + hash + "::node", "K10" + hash + "::node:", ":x",
		"x:"} {
		if got, err := Parse(in); err == nil {
			t.Errorf("Parse(%q) = %+v", in, got)
		}
	}
}

func TestFullTokenIsParsed(t *testing.T) {
	for _, want := range []Token{{hash, NodeUser, "secret"}, {CAHash: hash, Password: "abc123.0123456789abcdef"}} {
		if got, err := Parse(want.FormatFull()); err != nil || got != want {
			t.Errorf("%s: got %+v, %v", want.FormatFull(), got, err)
		}
	}
}

func TestCAHashIsOfThePEMOrOfAChainsRoot(t *testing.T) {
	one := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("intermediate")})
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("root")})
	for name, c := range map[string]struct{ bundle, hashed []byte }{
		"one":   {one, one},
		"chain": {bytes.Join([][]byte{one, root}, nil), []byte("root")},
	} {
		sum := sha256.Sum256(c.hashed)
		if got, err := HashCA(c.bundle); err != nil || got != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: got %s, %v", name, got, err)
		}
	}
	if _, err := HashCA([]byte("no pem")); err == nil {
		t.Error("a bundle without certificate has a hash")
	}
}

func TestVerifyRefusesAnotherCA(t *testing.T) {
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("ca")})
	right, err := HashCA(bundle)
	if err != nil {
		t.Fatal(err)
	}
	if err := (Token{CAHash: right}).VerifyCA(bundle); err != nil {
		t.Errorf("right hash: %v", err)
	}
	if err := (Token{Password: "short"}).VerifyCA(bundle); err != nil {
		t.Errorf("no hash: %v", err)
	}
	err = Token{CAHash: hash}.VerifyCA(bundle)
	want := "token CA hash does not match the Cluster CA certificate hash: " + hash + " != " + right
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestPasswordsAreLongAndDiffer(t *testing.T) {
	a, b := NewPassword(), NewPassword()
	if len(a) != 32 || a == b {
		t.Errorf("got %q and %q", a, b)
	}
}
