package service

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Person is the user whose skyd a service runs.
type Person struct {
	UID, GID   int
	Name, Home string
	// Other means that this program runs as root for the person.
	Other bool
}

// ErrNeedsRoot is FindPerson's error if a unit of the system is asked for without root's rights.
var ErrNeedsRoot = errors.New("a unit of the whole system needs root")

// FindPerson returns the person whose skyd is meant: the user, or for a unit of the system the one who called sudo.
func (c *Computer) FindPerson(system bool) (Person, error) {
	if !system {
		p := Person{UID: c.UID, GID: os.Getegid(), Name: c.Env("USER"), Home: c.Env("HOME")}
		if u, err := user.LookupId(strconv.Itoa(c.UID)); err == nil {
			p.Name = u.Username
		}
		if p.Name == "" {
			return p, fmt.Errorf("the name of user %d is unknown: set $USER", c.UID)
		}
		return p, nil
	}
	if c.UID != 0 {
		return Person{}, ErrNeedsRoot
	}
	id := c.Env("SUDO_UID")
	if id == "" {
		id = "0"
	}
	u, err := user.LookupId(id)
	if err != nil {
		return Person{}, fmt.Errorf("finding the user who called sudo ($SUDO_UID): %w", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return Person{}, fmt.Errorf("reading the id of user %s: %w", u.Username, err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return Person{}, fmt.Errorf("reading the group of user %s: %w", u.Username, err)
	}
	p := Person{UID: uid, GID: gid, Name: u.Username, Home: u.HomeDir, Other: uid != 0}
	if home := c.Env("HOME"); !p.Other && home != "" {
		p.Home = home
	}
	return p, nil
}

// othersVariables are root's where root acts for the person, or of no use to a unit.
var othersVariables = []string{"XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"}

// Environ returns an environment, as NAME=value, as Getenv looks it up.
func (p Person) Environ(environ []string) []string {
	if !p.Other {
		return environ
	}
	kept := slices.DeleteFunc(slices.Clone(environ), func(text string) bool {
		name, _, _ := strings.Cut(text, "=")
		return name == "HOME" || slices.Contains(othersVariables, name)
	})
	return append(kept, "HOME="+p.Home)
}

// Getenv looks up a variable as the person has it: sudo may have left root's home directory.
func (p Person) Getenv(env func(string) string) func(string) string {
	if !p.Other {
		return env
	}
	return func(name string) string {
		if name == "HOME" {
			return p.Home
		}
		if slices.Contains(othersVariables, name) {
			return ""
		}
		return env(name)
	}
}

// RunAs runs a function with the rights of the person, so that files belong to the person, and are as trusted as for
// the person. The whole process has these rights meanwhile.
func (p Person) RunAs(run func() error) (err error) {
	if !p.Other {
		return run()
	}
	gid, uid := os.Getegid(), os.Geteuid()
	if err := syscall.Setegid(p.GID); err != nil {
		return fmt.Errorf("becoming user %s: %w", p.Name, err)
	}
	defer func() { err = errors.Join(err, syscall.Setegid(gid)) }()
	if err := syscall.Seteuid(p.UID); err != nil {
		return fmt.Errorf("becoming user %s: %w", p.Name, err)
	}
	defer func() { err = errors.Join(err, syscall.Seteuid(uid)) }()
	return run()
}

// defaultStateDir is the state directory that skyctl uses if nothing else is set.
func (p Person) defaultStateDir() string { return filepath.Join(p.Home, ".skyconf") }
