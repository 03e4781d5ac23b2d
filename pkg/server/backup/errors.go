package backup

import (
	"fmt"
	"strings"
)

// FileError says that a file, or the recovery key, cannot be used. Nothing was changed.
type FileError struct {
	File    string
	Problem string
	Cause   error // nil if Problem says it all
}

func (e *FileError) Error() string {
	if e.Cause == nil {
		return fmt.Sprintf("%s %s", e.File, e.Problem)
	}
	return fmt.Sprintf("%s %s: %v", e.File, e.Problem, e.Cause)
}

func (e *FileError) Unwrap() error { return e.Cause }

// ExistsError says that the file to write exists.
type ExistsError struct{ File string }

func (e *ExistsError) Error() string {
	return e.File + " exists: choose another name, or replace it with --force"
}

// OccupiedError says that a state directory is not empty.
type OccupiedError struct {
	Dir   string
	Parts []string
}

func (e *OccupiedError) Error() string {
	return fmt.Sprintf("%s has a state already (%s): restore into another directory ($SKYCONF_DIR), or use --force, "+
		"which keeps the present state in a subdirectory", e.Dir, strings.Join(e.Parts, ", "))
}

// InUseError says that a skyd runs on the state directory.
type InUseError struct {
	Dir   string
	Cause error
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("%s is in use: %v; stop it first: skyctl server stop", e.Dir, e.Cause)
}

func (e *InUseError) Unwrap() error { return e.Cause }

// BusyError says that another backup is being made.
type BusyError struct{ Cause error }

func (e *BusyError) Error() string { return fmt.Sprintf("another backup is being made: %v", e.Cause) }

func (e *BusyError) Unwrap() error { return e.Cause }

// RoomError says that a disk has too little room.
type RoomError struct {
	Dir        string
	Need, Free uint64 // bytes
}

func (e *RoomError) Error() string {
	return fmt.Sprintf("the disk of %s has too little room: %d MiB are free, %d MiB are needed", e.Dir, e.Free>>20,
		e.Need>>20)
}
