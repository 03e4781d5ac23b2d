package vault

import (
	"errors"
	"io/fs"

	"github.com/sky-shift/skyctl/pkg/diskspace"
	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// The kinds of errors, which are also their reasons.
const (
	// QuotaReached: the files of the directory may not need more room.
	QuotaReached = "QuotaReached"
	// DiskFull: the disk of the directory has too little room.
	DiskFull = "DiskFull"
	// NotFound: there is no file of that name, or no bucket.
	NotFound = "NotFound"
	// Damaged: the file was changed or cut off after it was sealed.
	Damaged = "Damaged"
	// WrongKey: the file is sealed to another identity.
	WrongKey = "WrongKey"
	// AccessDenied: the credentials, or the rights of this process, do not suffice.
	AccessDenied = "AccessDenied"
	// Unavailable: the storage did not answer, or not to the end; a retry may succeed.
	Unavailable = "Unavailable"
	// Rejected: the storage refuses the request, mostly because of a wrong setting such as the region.
	Rejected = "Rejected"
	// InvalidSettings: the options of the storage are not valid.
	InvalidSettings = "InvalidSettings"
	// InvalidName: the name is not one of a file of a vault.
	InvalidName = "InvalidName"
)

// Error is a failure of a vault.
type Error struct {
	// Kind is one of the constants above.
	Kind string
	// Message says what failed, without secrets.
	Message string
	Cause   error // nil if Message says it all
}

func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Message
	}
	return e.Message + ": " + e.Cause.Error()
}

func (e *Error) Unwrap() error { return e.Cause }

// Reason returns the kind of the error.
func (e *Error) Reason() string { return e.Kind }

// Final reports whether a retry is useless until somebody has changed something.
func (e *Error) Final() bool { return e.Kind != Unavailable }

// diskError gives an error of the file system its kind. nil, and what has a kind, stay as they are.
func diskError(doing string, err error) error {
	if known := new(Error); err == nil || errors.As(err, &known) {
		return err
	}
	kind := Unavailable
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, regularfile.ErrNotRegular):
		return &Error{Kind: NotFound, Message: doing + ": there is no such file"}
	case errors.Is(err, fs.ErrPermission):
		kind = AccessDenied
	case diskspace.IsFullError(err):
		kind = DiskFull
	}
	return &Error{Kind: kind, Message: doing, Cause: err}
}
