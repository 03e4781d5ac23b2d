package freeport

import (
	"errors"
	"os"
	"sync"
	"syscall"
)

var (
	reservedMu sync.Mutex
	reserved   []*os.File // closed, and so given up, with the process
)

// Reserve binds a port of the loopback address, and does not listen at it. The kernel then gives it to no outgoing
// connection, and a server that allows the reuse of its address, as Python's do, can listen at it. It fails if the port
// is in use.
func Reserve(port int) error {
	s, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	syscall.CloseOnExec(s)
	f := os.NewFile(uintptr(s), "reserved port")
	err = syscall.SetsockoptInt(s, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err == nil {
		err = syscall.Bind(s, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	}
	if err != nil {
		return errors.Join(os.NewSyscallError("bind", err), f.Close())
	}
	reservedMu.Lock()
	defer reservedMu.Unlock()
	reserved = append(reserved, f)
	return nil
}
