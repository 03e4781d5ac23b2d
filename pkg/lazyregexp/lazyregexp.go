// Package lazyregexp has regular expressions that are compiled when they are first used. Most runs of skyctl use none
// of them, and to compile all took an eighth of the time in which it starts.
package lazyregexp

import (
	"regexp"
	"sync"
)

// Regexp is a regular expression with the syntax of package regexp. Its methods are those of regexp.Regexp.
type Regexp struct {
	// Compiled returns the expression. It panics if the syntax is wrong; test/arch checks that of each one.
	Compiled func() *regexp.Regexp
}

// New returns the expression of a text.
func New(text string) *Regexp {
	return &Regexp{sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })}
}

// MatchString reports whether s has a match.
func (r *Regexp) MatchString(s string) bool { return r.Compiled().MatchString(s) }

// FindStringSubmatch returns the first match in s and its groups; nil if there is none.
func (r *Regexp) FindStringSubmatch(s string) []string { return r.Compiled().FindStringSubmatch(s) }

// ReplaceAllString returns s with each match replaced; $1 in with is the first group.
func (r *Regexp) ReplaceAllString(s, with string) string {
	return r.Compiled().ReplaceAllString(s, with)
}
