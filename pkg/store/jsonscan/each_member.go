// Package jsonscan reads parts of JSON text without decoding all of it, and repairs text that was cut off.
package jsonscan

import (
	"bytes"
	"errors"
	"fmt"
)

var errNotObject = errors.New("not a complete JSON object")

// EachMember calls each with the name and the text of every member of a JSON object. It only finds the end of each
// value and does not validate it; the caller decodes it. Names must not contain escapes.
func EachMember(object []byte, each func(name, value []byte) error) error {
	rest := bytes.TrimSpace(object)
	if len(rest) < 2 || rest[0] != '{' || rest[len(rest)-1] != '}' {
		return errNotObject
	}
	rest = bytes.TrimSpace(rest[1 : len(rest)-1])
	for len(rest) > 0 {
		end := stringLength(rest)
		if end < 0 {
			return errNotObject
		}
		name := rest[1 : end-1]
		rest = bytes.TrimSpace(rest[end:])
		if len(rest) == 0 || rest[0] != ':' {
			return errNotObject
		}
		rest = bytes.TrimSpace(rest[1:])
		if end = valueLength(rest); end <= 0 {
			return errNotObject
		}
		if err := each(name, rest[:end]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if rest = bytes.TrimSpace(rest[end:]); len(rest) > 0 {
			if rest[0] != ',' || len(rest) == 1 {
				return errNotObject
			}
			rest = bytes.TrimSpace(rest[1:])
		}
	}
	return nil
}

// stringLength is the length of the string at the start of b, or -1 if b does not start with a complete string.
func stringLength(b []byte) int {
	if len(b) == 0 || b[0] != '"' {
		return -1
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// valueLength is the length of the value at the start of b, up to a comma or the end of b. It is -1 if the value is
// incomplete.
func valueLength(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			n := stringLength(b[i:])
			if n < 0 {
				return -1
			}
			i += n - 1
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	if depth != 0 {
		return -1
	}
	return len(b)
}
