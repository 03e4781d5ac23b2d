// Package jsonscan reads parts of JSON text without decoding all of it, and repairs text that was cut off.
package jsonscan

import (
	"bytes"
	"errors"
	"fmt"
)

var errNoObject = errors.New("it is no JSON object, or is cut")

// EachMember calls each with the name and the text of every member of a JSON object. It finds where they end and
// does not check what is in between: that is for whoever decodes them. Names have to be plain, without escapes.
func EachMember(object []byte, each func(name, value []byte) error) error {
	rest := bytes.TrimSpace(object)
	if len(rest) < 2 || rest[0] != '{' || rest[len(rest)-1] != '}' {
		return errNoObject
	}
	rest = bytes.TrimSpace(rest[1 : len(rest)-1])
	for len(rest) > 0 {
		end := stringLength(rest)
		if end < 0 {
			return errNoObject
		}
		name := rest[1 : end-1]
		rest = bytes.TrimSpace(rest[end:])
		if len(rest) == 0 || rest[0] != ':' {
			return errNoObject
		}
		rest = bytes.TrimSpace(rest[1:])
		if end = valueLength(rest); end <= 0 {
			return errNoObject
		}
		if err := each(name, rest[:end]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if rest = bytes.TrimSpace(rest[end:]); len(rest) > 0 {
			if rest[0] != ',' || len(rest) == 1 {
				return errNoObject
			}
			rest = bytes.TrimSpace(rest[1:])
		}
	}
	return nil
}

// stringLength is the length of the string that b begins with; -1 where it begins with none.
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

// valueLength is the length of the value that b begins with, which a comma follows or nothing; -1 where it has no
// end.
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
