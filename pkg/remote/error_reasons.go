package remote

// The errors of this package describe how a step on a machine failed: Reason returns the recorded reason, Final reports
// whether a retry is useless. They are interruptible: if the deadline of the step is their cause, the deadline is the
// reason to report.

// Reason is HostKeyMismatch.
func (e *HostKeyMismatch) Reason() string { return "HostKeyMismatch" }

// Final is true.
func (e *HostKeyMismatch) Final() bool { return true }

// Interruptible is true.
func (e *HostKeyMismatch) Interruptible() bool { return true }

// Reason is AuthFailed.
func (e *AuthFailed) Reason() string { return "AuthFailed" }

// Final is true.
func (e *AuthFailed) Final() bool { return true }

// Interruptible is true.
func (e *AuthFailed) Interruptible() bool { return true }

// Reason is CommandFailed.
func (e *RunError) Reason() string { return "CommandFailed" }

// Log returns the last lines of the command's standard error.
func (e *RunError) Log() []string { return e.Tail }

// Final is true: the caller decides which commands to retry.
func (e *RunError) Final() bool { return true }

// Interruptible is true.
func (e *RunError) Interruptible() bool { return true }

// Reason is LoginShellFailed.
func (e *ShellFailed) Reason() string { return "LoginShellFailed" }

// Log returns the last lines that the shell printed.
func (e *ShellFailed) Log() []string { return e.Output }

// Final is true: the caller decides which commands to retry.
func (e *ShellFailed) Final() bool { return true }

// Interruptible is true.
func (e *ShellFailed) Interruptible() bool { return true }

// Reason is OutputTooLong.
func (e *OutputTooLong) Reason() string { return "OutputTooLong" }

// Final is true.
func (e *OutputTooLong) Final() bool { return true }

// Interruptible is true.
func (e *OutputTooLong) Interruptible() bool { return true }

// Reason is ConnectionLost.
func (e *Lost) Reason() string { return "ConnectionLost" }

// Final is false: the next connection may succeed.
func (e *Lost) Final() bool { return false }

// Interruptible is true.
func (e *Lost) Interruptible() bool { return true }
