package api

import (
	"fmt"
	"maps"
	"slices"
)

// The limits of the secrets that people store, in bytes of their values.
const (
	MaxSecretBytes     = 64 << 10 // of one secret
	MaxAllSecretsBytes = 1 << 20  // of all secrets of an installation
)

// ValidateSecretName checks the name of a secret. Its error is a *FieldError.
func ValidateSecretName(name string) error {
	if IsSecretName(name) {
		return nil
	}
	return &FieldError{Field: "secret", Value: name, Want: WantSecretName}
}

// ValidateSecretKey checks the name of a value of a secret. Its error is a *FieldError.
func ValidateSecretKey(key string) error {
	if IsSecretKey(key) {
		return nil
	}
	return &FieldError{Field: "key", Value: key, Want: WantSecretKey}
}

// ValidateSecret checks a secret before it is stored. Its errors are *FieldErrors, joined, and quote no value.
func ValidateSecret(name string, values map[string][]byte) error {
	var errs fieldErrors
	errs.addError(ValidateSecretName(name))
	total := 0
	for _, key := range slices.Sorted(maps.Keys(values)) {
		errs.addError(ValidateSecretKey(key))
		if len(values[key]) == 0 {
			errs.addField("key", key, "a value that is not empty")
		}
		total += len(values[key])
	}
	switch {
	case len(values) == 0:
		errs.addField("secret", name, "at least one key with a value")
	case total > MaxSecretBytes:
		errs.addField("secret", name, fmt.Sprintf("at most %d KiB in all its values; they have %d bytes",
			MaxSecretBytes>>10, total))
	}
	return errs.joinErrors()
}
