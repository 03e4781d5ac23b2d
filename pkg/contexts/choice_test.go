package contexts

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var errDamaged = errors.New("damaged")

func TestInstallationIsChosenByPrecedence(t *testing.T) {
	teams := Contexts{Current: "team", Named: []Context{{"lab", "/lab"}, {"team", "/team"}}}
	lost := Contexts{Current: "lost", Named: teams.Named}
	flag := func(context string) Given {
		return Given{HasContext: true, Context: context, Variable: "/var", DefaultDir: "/home"}
	}
	directory := Given{HasConfigDir: true, HasContext: true, Context: "nope", Variable: "/var"}
	variable := Given{Variable: "/var"}
	for name, tt := range map[string]struct {
		given   Given
		all     Contexts
		damaged bool
		want    Choice
		says    string // of the error
	}{
		"nothing":                 {want: Choice{Context: Default}},
		"current":                 {all: teams, want: Choice{"team", "/team"}},
		"default is current":      {all: Contexts{Current: Default}, want: Choice{Context: Default}},
		"variable over current":   {given: variable, all: teams},
		"flag over variable":      {given: flag("lab"), all: teams, want: Choice{"lab", "/lab"}},
		"default over variable":   {given: flag(Default), all: teams, want: Choice{Default, "/home"}},
		"directory over all":      {given: directory, all: teams},
		"directory, damaged file": {given: directory, damaged: true},
		"variable, damaged file":  {given: variable, damaged: true},
		"default, damaged file":   {given: flag(Default), damaged: true, want: Choice{Default, "/home"}},
		"nothing, damaged file":   {damaged: true, says: "damaged"},
		"flag, damaged file":      {given: flag("lab"), damaged: true, says: "damaged"},
		"variable, lost current":  {given: variable, all: lost},
		"flag, lost current":      {given: flag("lab"), all: lost, want: Choice{"lab", "/lab"}},
		"lost current":            {all: lost, says: `the current context "lost" does not exist`},
		"misspelt":                {given: flag("taem"), all: teams, says: `"taem" does not exist; did you mean team?`},
		"others are named":        {given: flag("x"), all: teams, says: "The contexts are default, lab, team. To add"},
		"empty":                   {given: flag(""), all: teams, says: "--context is empty"},
		"default of nobody":       {given: Given{HasContext: true, Context: Default}, says: "set $HOME"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Choose(tt.given, func() (Contexts, error) {
				if tt.damaged {
					return Contexts{}, errDamaged
				}
				return tt.all, nil
			})
			if got != tt.want || (err == nil) != (tt.says == "") ||
				err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("chose %+v, %v; want %+v, %q", got, err, tt.want, tt.says)
			}
		})
	}
}

func TestDirectoryOfAContextMustExist(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		choice Choice
		says   string
	}{
		{Choice{"team", dir}, ""},
		{Choice{Default, filepath.Join(dir, "absent")}, ""},
		{Choice{"", filepath.Join(dir, "absent")}, ""},
		{Choice{"team", filepath.Join(dir, "absent")}, "does not exist: mount it or create it (mkdir -m 700 "},
		{Choice{"team", file}, "is not a directory"},
	} {
		err := tt.choice.CheckDir()
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%+v: %v, want %q", tt.choice, err, tt.says)
		}
	}
}
